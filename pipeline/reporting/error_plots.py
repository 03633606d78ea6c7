"""The plots of a method's errors: what they cost, and what becomes of each group's objects."""

import numpy as np
from matplotlib.figure import Figure

from pipeline.diagnosis.bins import CORRECT, NOTHING, UNGROUPED
from pipeline.evaluation.groupings import NO_GROUP
from pipeline.pages.style import FULL_WIDTH, SHADE, literal, method_looks, styled
from pipeline.percent import percent
from pipeline.reporting.diagnosis_plots import GROUP_COLOURS
from pipeline.reporting.plots import legend_above

ERRORS = {
    "Cls": "class", "Loc": "place", "Both": "both", "Dupe": "duplicate", "Bkg": "background",
    "Miss": "missed",
}  # fmt: skip
GOOD, DARK = "#4c9f38", "#57606a"
LABELLED = 4  # methods: numbers over the bars of more would collide
TOO_NARROW = 0.07  # of the panel: no percentage fits into the bar


@styled
def draw_errors(diagnosis, methods, baseline) -> Figure | None:
    """TIDE: how many points of AP50 each kind of error costs, over all categories."""
    costs = {m: e["tide"]["delta"] for m, e in diagnosis.errors.items() if e["tide"]}
    if not costs:
        return None
    figure = Figure(figsize=(FULL_WIDTH, 2.6), layout="constrained")
    axes = figure.subplots()
    width = 0.84 / len(costs)
    looks = {m: look for m, look in method_looks(methods, baseline).items() if m in costs}
    for i, (method, look) in enumerate(looks.items()):
        heights = [100 * costs[method][kind] for kind in ERRORS]
        places = np.arange(len(ERRORS)) + (i - (len(looks) - 1) / 2) * width
        bars = axes.bar(places, heights, width * 0.92, label=literal(method), **look.bar)
        if len(looks) <= LABELLED:
            texts = [percent(costs[method][kind]) for kind in ERRORS]
            axes.bar_label(bars, texts, padding=1.5, fontsize=7)
    axes.set_xticks(range(len(ERRORS)), ERRORS.values())
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.set_ylabel("points of AP50")
    axes.margins(y=0.1)
    legend_above(figure, axes)
    return figure


@styled
def draw_objects(diagnosis, methods, grouping) -> Figure | None:
    """A panel a group, a bar a method: the shares of the objects that are found, taken for a
    category of each group, and not found."""
    table = diagnosis.objects
    if table.empty:
        return None
    groups = [g for g in grouping.groups if table[table.group == g.code].objects.sum() > 0]
    if not groups:
        return None
    known = [m for m in methods if (table.method == m).any()]
    there = set(table[table.objects > 0].outcome)
    kinds = {k: v for k, v in outcomes(grouping).items() if k != UNGROUPED or k in there}
    figure = Figure(figsize=(FULL_WIDTH, 0.85 + 0.3 * len(known)), layout="constrained")
    panels = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    for axes, group in zip(panels, groups, strict=True):
        own = table[table.group == group.code]
        shares = own.pivot(index="method", columns="outcome", values="objects").loc[known]
        shares = shares.div(shares.sum(axis=1), axis=0)
        draw_shares(axes, shares, kinds)
        axes.set_title(group.of("objects"))
        axes.set(xlim=(0, 1), xticks=[])
        axes.tick_params(axis="y", length=0)
        axes.spines[:].set_visible(False)
    panels[0].set_yticks(range(len(known)), [literal(method) for method in known])
    panels[0].invert_yaxis()
    legend_above(figure, panels[0])
    return figure


def outcomes(grouping) -> dict[str, tuple[str, str]]:
    """outcome -> words, colour."""
    taken = {
        group.code: (f"taken for {group.of('ones')}", colour)
        for group, colour in zip(grouping.groups, GROUP_COLOURS, strict=False)
    }
    none = grouping.name(NO_GROUP)
    rest = {UNGROUPED: (f"taken for ones {none}", DARK), NOTHING: ("not found", SHADE)}
    return {CORRECT: ("right", GOOD), **taken, **rest}


def draw_shares(axes, shares, kinds):
    left = np.zeros(len(shares))
    for outcome, (words, colour) in kinds.items():
        width = shares[outcome].to_numpy()
        bars = axes.barh(range(len(shares)), width, 0.78, left, color=colour, label=words)
        texts = [f"{100 * w:.0f}" if w >= TOO_NARROW else "" for w in width]
        axes.bar_label(bars, texts, label_type="center", color="white", fontsize=7.5)
        left += width
