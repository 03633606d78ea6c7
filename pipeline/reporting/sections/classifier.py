"""What a classifier does to rare categories: its weights and scores, what it confuses, and what its
training hallucinates."""

import pandas as pd
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from pipeline.diagnosis.bins import group_of
from pipeline.pages.style import FULL_WIDTH, RASTER_POINTS, SHADE, literal, method_looks, styled
from pipeline.reporting.axes import (
    GROUP_COLOURS,
    axis_counts,
    binned_means,
    legend_above,
    log_counts,
)
from pipeline.reporting.sections import Plot, Section

TITLE = "Classifier"
PLACE = 60
PAIRS_A_METHOD = 8
# from nothing to ink, so that the page's light and dark papers both serve as zero
HEAT = LinearSegmentedColormap.from_list("heat", [(0.18, 0.5, 0.97, 0.0), (0.18, 0.5, 0.97, 1.0)])


def make(inputs) -> Section:
    who, grouping, read = (inputs.methods, inputs.baseline), inputs.grouping, inputs.diagnosis.table
    tables = read("classifier"), read("classes"), inputs.categories
    plots = {
        "classifier": Plot(
            f"Classifier weight norm and mean score against training {grouping.unit}",
            draw_classifier(*tables, *who, grouping),
        ),
        "confusion": Plot(
            "Maps of what each bin of categories is taken for, first and last epoch",
            draw_confusion(read("confusion"), grouping),
        ),
        "sampling": Plot(
            "Chance of each group of categories to be hallucinated, by epoch",
            draw_sampling(read("sampling"), grouping),
        ),
    }
    pairs = first_rows(read("confused_pairs"))
    return Section({"pairs": pairs} if plots["classifier"].figure else None, plots)


def first_rows(pairs) -> list[dict]:
    """The most confused pairs of each method."""
    return pairs.groupby("method", sort=False).head(PAIRS_A_METHOD).to_dict("records")


@styled
def draw_classifier(weights, scores, categories, methods, baseline, grouping) -> Figure | None:
    """Weight norm and mean score of correct detections of every category, against its counts."""
    values = {
        "weight_norm": ("classifier's weight norm", weights),
        "correct_score": ("mean score where correct", scores),
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
