"""The plots of `diagnose`: classifier, calibration, confusion and hallucination."""

import pandas as pd
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from pipeline.diagnosis.bins import group_of
from pipeline.pages.style import (
    COLOURS,
    FULL_WIDTH,
    RASTER_POINTS,
    SHADE,
    literal,
    method_looks,
    styled,
)
from pipeline.reporting.plots import axis_counts, binned_means, legend_above, log_counts

GROUP_COLOURS = (COLOURS[3], "#b07c10", COLOURS[2], COLOURS[0])  # like the page's
UNIT = (-0.03, 1.03)  # from 0 to 1, with room for whole markers at the ends
FIFTHS = (0, 0.2, 0.4, 0.6, 0.8, 1)
FEW = 20  # detections in a bin: fewer draw no point
# from nothing to ink, so that the page's light and dark papers both serve as zero
HEAT = LinearSegmentedColormap.from_list("heat", [(0.18, 0.5, 0.97, 0.0), (0.18, 0.5, 0.97, 1.0)])


@styled
def draw_classifier(diagnosis, categories, methods, baseline, grouping) -> Figure | None:
    """Weight norm and mean score of correct detections of every category, against its counts."""
    values = {
        "weight_norm": ("classifier's weight norm", diagnosis.classifier),
        "correct_score": ("mean score where correct", diagnosis.classes),
    }
    if any(table.empty for _, table in values.values()):
        return None
    about = categories.rename(columns={"id": "category_id"})
    figure = Figure(figsize=(FULL_WIDTH, 3.4), layout="constrained")
    for axes, (column, (title, table)) in zip(figure.subplots(1, 2), values.items(), strict=True):
        table = table.merge(about, on="category_id")
        many = len(table) > RASTER_POINTS
        dots = dict(s=7 if many else 13, alpha=0.35, linewidths=0, rasterized=many)
        for method, look in method_looks(methods, baseline).items():
            known = table[(table.method == method) & table[column].notna()]
            if known.empty:
                continue
            counts = axis_counts(known, grouping).to_numpy(float)
            points = known[column].to_numpy(float)
            axes.scatter(counts, points, **look.marker, **dots)
            line = look.line | look.marker | dict(lw=2, ms=3.5)
            axes.plot(*binned_means(counts, points), label=literal(method), **line)
        axes.set_title(title)
        axes.set_ylim(bottom=0)
        axes.grid(axis="y")
        log_counts(axes, grouping)
    legend_above(figure, figure.axes[0])
    return figure


@styled
def draw_calibration(diagnosis, methods, baseline, grouping) -> Figure | None:
    """Precision against score; on the diagonal a score is the chance to be right."""
    table = diagnosis.calibration
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


@styled
def draw_confusion(confusion: pd.DataFrame, grouping) -> Figure | None:
    """Per method two maps, first and last epoch: what the true bins' samples are taken for."""
    if confusion.empty:
        return None
    methods = list(dict.fromkeys(confusion.method))
    figure = Figure(figsize=(FULL_WIDTH, 0.7 + 3.4 * len(methods)), layout="constrained")
    figure.get_layout_engine().set(h_pad=0.1)  # a reader's font may be higher than ours
    rows = figure.subplots(len(methods), 2, squeeze=False)
    others = confusion[confusion.predicted != "self"]
    for row, method in zip(rows, methods, strict=True):
        own = others[others.method == method]
        limit = max(own.share.max(), 1e-6)
        for axes, epoch in zip(row, ("first", "last"), strict=True):
            grid = pivot(own[own.epoch == epoch])
            mesh = axes.pcolormesh(grid.to_numpy(float), cmap=HEAT, vmin=0, vmax=limit)
            mark_bins(axes, grid, grouping)
            axes.set_title(f"{literal(method)}, {epoch} epoch")
        figure.colorbar(mesh, ax=row, shrink=0.85, label="mean share of the other classes' softmax")
    return figure


def pivot(table):
    order = list(dict.fromkeys(table.predicted))
    grid = table.pivot(index="true", columns="predicted", values="share")
    return grid.reindex(index=order, columns=order)


def mark_bins(axes, grid, grouping):
    labels = list(grid.columns)
    starts = [i for i, label in enumerate(labels) if label[1:] == "1"]
    ends = [*starts[1:], len(labels)]
    for start in starts[1:]:
        axes.axvline(start, c=SHADE, lw=0.8)
        axes.axhline(start, c=SHADE, lw=0.8)
    middles = [(a + b) / 2 for a, b in zip(starts, ends, strict=True)]
    names = [grouping.name(group_of(labels[start])) for start in starts]
    axes.set_xticks(middles, names)
    axes.set_yticks(middles, names, rotation=90, va="center")
    axes.tick_params(length=0)
    axes.set_xlabel("taken for")
    axes.set_ylabel("true class")
    axes.invert_yaxis()
    axes.set_aspect("equal")


@styled
def draw_sampling(sampling: pd.DataFrame, grouping) -> Figure | None:
    """Per method the chance of a draw to fall on each group, epoch by epoch, against chance."""
    if sampling.empty:
        return None
    methods = list(dict.fromkeys(sampling.method))
    figure = Figure(figsize=(FULL_WIDTH, 0.8 + 2.1 * len(methods)), layout="constrained")
    panels = figure.subplots(len(methods), 1, sharex=True, squeeze=False)[:, 0]
    for axes, method in zip(panels, methods, strict=True):
        own = sampling[sampling.method == method].assign(group=lambda t: t.bin.map(group_of))
        sizes = own[own.epoch == own.epoch.min()].groupby("group").categories.sum()
        drawn = own.groupby(["epoch", "group"]).probability.sum().unstack()
        for code, colour in zip(grouping.names, GROUP_COLOURS, strict=False):
            if code not in drawn:
                continue
            share, name = 100 * drawn[code], grouping.name(code)
            axes.plot(share.index, share, c=colour, marker="o", ms=3.5, label=name)
            axes.axhline(100 * sizes[code] / sizes.sum(), c=colour, lw=0.9, ls=(0, (3, 3)))
        axes.set_title(literal(method))
        axes.set_ylabel("share of the draws, %")
        axes.set_ylim(bottom=0)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(axis="y")
    panels[-1].set_xlabel("epoch of the classifier stage")
    legend_above(figure, panels[0])
    return figure
