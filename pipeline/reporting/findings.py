"""What the numbers say: the headline, the tiles, and the changes by category."""

import pandas as pd

from pipeline.percent import in_percent, percent
from pipeline.tables.ap import difference


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


def deltas(per_category, baseline, grouping) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Per category name, group and training_count; and the other methods' AP minus the baseline's.

    Both by category_id, sorted by the training count; the second has one column a method, apart
    because a method may be called "name", too. NaN where undefined.
    """
    wide = per_category.pivot(index="category_id", columns="method", values="AP")
    change = wide.drop(columns=baseline).sub(wide[baseline], axis=0)
    about = per_category.drop_duplicates("category_id").set_index("category_id")
    about = about[["name", "group"]].assign(training_count=about[grouping.count])
    about = about.sort_values("training_count", kind="stable")
    return about, change.reindex(about.index)


def counted(number, nouns) -> str:
    """ "2 images", "1 image"."""
    return f"{number} {nouns.removesuffix('s') if number == 1 else nouns}"
