"""What the numbers say: the headline, the tiles, the largest changes, and the rows by category."""

from pipeline.percent import in_percent, percent
from pipeline.reporting.plots import deltas
from pipeline.tables.ap import difference

EXTREMES = 5
PAIRS_A_METHOD = 8


def headline(inputs) -> dict[str, str]:
    """key -> title of AP and of the groups' APs."""
    return {"AP": "AP", **{group.key: group.title for group in inputs.grouping.groups}}


def headlines(inputs) -> dict[str, dict[str, float | None]]:
    """method -> AP and the groups' APs, in percent: for `dvc metrics` and `dvc exp show`."""
    return {
        method: {key: in_percent(values[key], digits=2) for key in headline(inputs)}
        for method, values in inputs.metrics.items()
    }


def summary(inputs) -> str:
    """What the numbers say, whatever they say, in one or two sentences."""
    titles = headline(inputs)
    base, own = inputs.metrics[inputs.baseline], inputs.metrics.get(inputs.challenger)
    if own is None:
        parts = ", ".join(f"{title} {percent(base[key])}" for key, title in titles.items())
        return f"{inputs.baseline} reaches {parts}."
    known = [key for key in titles if difference(own[key], base[key]) is not None]
    if not known:
        return f"{inputs.challenger} and {inputs.baseline} have no AP to compare."
    changes = [f"{titles[k]} by {percent(difference(own[k], base[k]), signed=True)}" for k in known]
    listed = " and ".join([", ".join(changes[:-1]), changes[-1]]) if changes[1:] else changes[0]
    overall = f" (AP {percent(base['AP'])} to {percent(own['AP'])})" if "AP" in known else ""
    return f"{inputs.challenger} changes {listed} points over {inputs.baseline}{overall}."


def tiles(inputs) -> list[dict]:
    """The headline numbers of the challenger (of the baseline, where it is alone)."""
    base = inputs.metrics[inputs.baseline]
    own = inputs.metrics.get(inputs.challenger, base)
    return [
        {
            "title": title,
            "value": percent(own[key]),
            "base": percent(base[key]),
            "delta": difference(own[key], base[key]) if inputs.challenger else None,
        }
        for key, title in headline(inputs).items()
    ]


def category_rows(inputs) -> list[dict]:
    """One row a category of the evaluation, the fewest training images (or objects) first."""
    table = inputs.per_category
    wide = table.pivot(index="category_id", columns="method", values="AP")
    about = table.drop_duplicates("category_id").sort_values(inputs.grouping.count, kind="stable")
    return [
        {
            "name": row.name,
            "group": row.group,
            "image_count": row.image_count,
            "instance_count": row.instance_count,
            "ap": (ap := [number(wide.at[row.category_id, m]) for m in inputs.methods]),
            "delta": difference(
                ap[inputs.methods.index(inputs.challenger or inputs.baseline)],
                ap[inputs.methods.index(inputs.baseline)],
            ),
        }
        for row in about.itertuples(index=False)
    ]


def number(value) -> float | None:
    """NaN, pandas' mark of an undefined AP, becomes None."""
    return None if value != value else float(value)


def extremes(inputs) -> dict[str, list[dict]]:
    """The challenger's largest gains and losses by category; {} where there is no challenger."""
    if not inputs.challenger:
        return {}
    about, changes = deltas(inputs.per_category, inputs.baseline, inputs.grouping)
    training = [counted(n, inputs.grouping.unit) for n in about.training_count]
    table = about.assign(training=training, delta=changes[inputs.challenger])
    table = table.dropna(subset="delta")
    table = table.sort_values("delta", ascending=False, kind="stable")
    gains = table[table.delta > 0].head(EXTREMES)
    losses = table[table.delta < 0].tail(EXTREMES)[::-1]
    return {"gains": gains.to_dict("records"), "losses": losses.to_dict("records")}


def counted(number, nouns) -> str:
    """ "2 images", "1 image"."""
    return f"{number} {nouns.removesuffix('s') if number == 1 else nouns}"


def confused_pairs(diagnosis) -> list[dict]:
    """The first rows of each method's confused_pairs.csv."""
    table = diagnosis.confused_pairs
    return table.groupby("method", sort=False).head(PAIRS_A_METHOD).to_dict("records")
