"""What a method gets wrong: what its errors cost, what becomes of each group's objects, and whether
its scores are the chance to be right."""

import numpy as np
from matplotlib.figure import Figure

from pipeline.diagnosis.bins import CORRECT, NOTHING, UNGROUPED
from pipeline.evaluation.groupings import NO_GROUP
from pipeline.files import read_json
from pipeline.pages.style import FULL_WIDTH, SHADE, literal, method_looks, styled
from pipeline.percent import percent
from pipeline.reporting.axes import GROUP_COLOURS, legend_above
from pipeline.reporting.sections import Plot, Section

TITLE = "Errors"
PLACE = 50
ERRORS = {
    "Cls": "class", "Loc": "place", "Both": "both", "Dupe": "duplicate", "Bkg": "background",
    "Miss": "missed",
}  # fmt: skip
GOOD, DARK = "#4c9f38", "#57606a"
LABELLED = 4  # methods: numbers over the bars of more would collide
TOO_NARROW = 0.07  # of the panel: no percentage fits into the bar
UNIT = (-0.03, 1.03)  # from 0 to 1, with room for whole markers at the ends
FIFTHS = (0, 0.2, 0.4, 0.6, 0.8, 1)
FEW = 20  # detections in a bin: fewer draw no point


def make(inputs) -> Section:
    who, grouping, read = (inputs.methods, inputs.baseline), inputs.grouping, inputs.diagnosis.table
    errors = {m: read_errors(folder, m) for m, folder in inputs.diagnosis.folders.items()}
    plots = {
        "errors": Plot(
            "Points of AP50 that each kind of error costs, over all categories",
            draw_errors(errors, *who),
        ),
        "objects": Plot(
            "Shares of each group's objects that are right, taken for others, not found",
            draw_objects(read("objects"), inputs.methods, grouping),
        ),
        "calibration": Plot(
            "Share of correct detections against their score",
            draw_calibration(read("calibration"), *who, grouping),
        ),
    }
    ece = {method: found["ece"]["all"] for method, found in errors.items()}
    drawn = plots["errors"].figure or plots["calibration"].figure
    return Section({"ece": ece} if drawn else None, plots)


def read_errors(folder, method) -> dict:
    path = folder / "errors.json"
    errors = read_json(path)
    if not (isinstance(errors, dict) and {"tide", "ece"} <= errors.keys()):
        raise ValueError(f"{path} is of another version; run: dvc repro --force diagnose@{method}")
    return errors


@styled
def draw_errors(errors, methods, baseline) -> Figure | None:
    """TIDE: how many points of AP50 each kind of error costs, over all categories."""
    costs = {method: found["tide"]["delta"] for method, found in errors.items() if found["tide"]}
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
def draw_objects(table, methods, grouping) -> Figure | None:
    """A panel a group, a bar a method: the shares of the objects that are found, taken for a
    category of each group, and not found."""
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


@styled
def draw_calibration(table, methods, baseline, grouping) -> Figure | None:
    """Precision against score; on the diagonal a score is the chance to be right."""
    if table.empty:
        return None
    groups = titles(grouping)
    shown = [code for code in groups if (table.group == code).any()]
    figure = Figure(figsize=(FULL_WIDTH, 2.9), layout="constrained")
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axes, code in zip(panels, shown, strict=True):
        axes.plot([0, 1], [0, 100], c=SHADE, lw=0.8, ls=(0, (3, 3)))
        for method, look in method_looks(methods, baseline).items():
            own = table[(table.method == method) & (table.group == code) & (table["count"] >= FEW)]
            if len(own):
                places = (own.mean_score.to_numpy(float), 100 * own.precision.to_numpy(float))
                line = look.line | look.marker | dict(ms=3)
                axes.plot(*places, label=literal(method), **line)
        axes.set(xlim=UNIT, xticks=FIFTHS, xlabel="score")
        axes.set(ylim=[100 * end for end in UNIT], yticks=[100 * fifth for fifth in FIFTHS])
        axes.set_title(groups[code])
        axes.grid()
    panels[0].set_ylabel("correct, %")
    legend_above(figure, panels[0])
    return figure


def titles(grouping) -> dict[str, str]:
    """code -> name of all categories together and of each group."""
    return {"all": "all categories", **grouping.names}
