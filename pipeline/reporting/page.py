"""reports/index.html: one self-contained file, from the numbers and plots."""

from pathlib import Path

import jinja2

from pipeline.reporting import provenance
from pipeline.reporting.gallery import EXTRA, MOST, RULE
from pipeline.reporting.inputs import Inputs
from pipeline.reporting.panels import FONT_SIZE, WIDTH, pictures
from pipeline.reporting.plots import deltas
from pipeline.reporting.style import for_page, method_colours
from pipeline.reporting.tables import WHY_NONE, cells, difference, has_gaps, percent

TEMPLATES = Path(__file__).parent / "templates"
EXTREMES = 5
MINUS = "\N{MINUS SIGN}"


def render(inputs: Inputs, boxes, masks, plots: dict[str, str], truth) -> str:
    """``boxes``, ``masks``: tables.Table (or None); ``plots``: name -> svg; ``truth``: Truth."""
    return render_template(
        "index.html.j2",
        data=inputs.params.data,
        methods=inputs.methods,
        baseline=inputs.baseline,
        challenger=inputs.challenger,
        colours=method_colours(inputs.methods, inputs.baseline),
        grouping=inputs.grouping,
        group_order=list(inputs.grouping.names),
        sizes=inputs.categories.group.value_counts().to_dict(),
        val_images=len(truth.images),
        sentence=minus(summary(inputs)),
        tiles=tiles(inputs),
        tables=[
            {"columns": t.columns, "cells": cells(t), "gaps": has_gaps(t), "of": kind}
            for kind, t in (("Box", boxes), ("Mask", masks))
            if t
        ],
        why_none=WHY_NONE,
        plots={name: for_page(svg, name, alt_text(name, inputs)) for name, svg in plots.items()},
        categories=category_rows(inputs),
        extremes=extremes(inputs),
        pictures=pictures(inputs, truth),
        rule=gallery_rule(inputs),
        panel={"width": WIDTH, "font": FONT_SIZE},
        costs=provenance.cost_rows(inputs),
        environments=inputs.environments,
        versions=provenance.versions(),
        params_yaml=provenance.resolved_yaml(inputs.params, inputs.methods),
    )


def render_template(template: str, /, **values) -> str:
    """A page of one template, with the look and the script that all pages share."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": percent, "minus": minus, "duration": provenance.duration}
    return environment.get_template(template).render(
        style=(TEMPLATES / "page.css").read_text(encoding="utf-8"),
        script=(TEMPLATES / "page.js").read_text(encoding="utf-8"),
        **values,
    )


def minus(text) -> str:
    """A hyphen before a digit becomes a minus sign."""
    return "".join(
        MINUS
        if c == "-" and text[i + 1 : i + 2].isdigit() and (i == 0 or text[i - 1] in " (")
        else c
        for i, c in enumerate(text)
    )


def headline(inputs) -> dict[str, str]:
    """key -> title of AP and of the groups' APs."""
    return {"AP": "AP", **{group.key: group.title for group in inputs.grouping.groups}}


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
    changes = [
        f"{titles[k]} by {percent(difference(own[k], base[k]), signed=True)}" for k in known
    ]
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


def alt_text(name, inputs) -> str:
    """What a plot shows, in words; the numbers are in the page's tables."""
    unit, names = inputs.grouping.unit, ", ".join(inputs.grouping.names.values())
    titles = {
        "ap_vs_frequency": f"AP of every category against its number of training {unit}",
        "ap_by_frequency": f"AP over all categories and by group: {names}",
        "delta_per_category": f"AP of every category minus that of {inputs.baseline}",
        "training_curves": "Training loss and learning rate by iteration",
    }
    return str(jinja2.filters.escape(f"{titles[name]}, for {', '.join(inputs.methods)}"))


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
    table = deltas(inputs.per_category, inputs.baseline, inputs.grouping)
    table = table.rename(columns={inputs.challenger: "delta"})
    table = table.dropna(subset="delta").sort_values("delta", ascending=False, kind="stable")
    gains = table[table.delta > 0].head(EXTREMES)
    losses = table[table.delta < 0].tail(EXTREMES)[::-1]
    return {"gains": gains.to_dict("records"), "losses": losses.to_dict("records")}


def gallery_rule(inputs) -> str:
    rarest, *others = (group.of("objects") for group in inputs.grouping.groups)
    return RULE.format(
        rarest=rarest,
        others=", then ".join(others),
        baseline=inputs.baseline,
        challenger=inputs.challenger or "nothing found",
        extra=EXTRA,
        most=MOST,
    )
