"""AP of every category: a table to sort, and the changes against the baseline as bars."""

import numpy as np
from matplotlib.figure import Figure

from pipeline.pages.style import FULL_WIDTH, SHADE, literal, method_colours, styled
from pipeline.reporting.findings import deltas
from pipeline.reporting.sections import Plot, Section
from pipeline.tables.ap import difference

TITLE = "By category"
PLACE = 40
BAR = 0.86


def make(inputs) -> Section:
    who = inputs.methods, inputs.baseline
    return Section(
        values={"rows": rows(inputs), "codes": list(inputs.grouping.names)},
        plots={
            "delta_per_category": Plot(
                f"AP of every category minus that of {inputs.baseline}",
                draw_deltas(inputs.per_category, *who, inputs.grouping),
            )
        },
    )


def rows(inputs) -> list[dict]:
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


@styled
def draw_deltas(per_category, methods, baseline, grouping) -> Figure | None:
    """One panel of bars for each method but the baseline; None where there is no other."""
    others = [m for m in methods if m != baseline]
    if not others:
        return None
    about, changes = deltas(per_category, baseline, grouping)
    figure = Figure(figsize=(FULL_WIDTH, 0.9 + 1.45 * len(others)), layout="constrained")
    panels = figure.subplots(len(others), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    colours = method_colours(methods, baseline)
    for axes, method in zip(panels, others, strict=True):
        change = 100 * changes[method].fillna(0).to_numpy()
        bars(axes, change.clip(min=0), colours[method])
        bars(axes, change.clip(max=0), SHADE)
        axes.axhline(0, c=SHADE, lw=0.8)
        axes.set_title(f"{literal(method)} minus {literal(baseline)}")
        axes.set_ylabel("ΔAP, points")
        axes.grid(axis="y")
        axes.set_axisbelow(True)
        axes.margins(x=0.005)
        mark_groups(axes, about, grouping)
    panels[-1].set_xlabel(f"categories, from the fewest to the most training {grouping.unit}")
    return figure


def bars(axes, heights, colour):
    """Bars at 0, 1, 2, ... as one shape: thousands of single ones take matplotlib many seconds."""
    places = np.arange(len(heights))
    edges = np.stack([places - BAR / 2, places + BAR / 2], axis=1).ravel()
    steps = np.stack([heights, np.zeros(len(heights))], axis=1).ravel()[:-1]
    axes.stairs(steps, edges, fill=True, color=colour)


def mark_groups(axes, table, grouping):
    """Dashed lines between the groups of the sorted categories, names below them."""
    codes = table.group.to_numpy()
    starts = [0, *(np.flatnonzero(codes[1:] != codes[:-1]) + 1).tolist()]
    if len(starts) > len(set(codes)):
        return axes.set_xticks([])
    for start in starts[1:]:
        axes.axvline(start - 0.5, c=SHADE, lw=0.8, ls=(0, (3, 3)))
    ends = [*starts[1:], len(codes)]
    middles = [(start + end - 1) / 2 for start, end in zip(starts, ends, strict=True)]
    axes.set_xticks(middles, [grouping.name(codes[start]) for start in starts])
    axes.tick_params(axis="x", length=0)
