"""The plots of final results: AP against training images, AP by frequency, delta per category.

Under the grouping of SimCal's bins, training objects take the place of training images.
"""

import matplotlib.ticker
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipeline.evaluation.groupings import NO_GROUP, Grouping
from pipeline.pages.style import (
    FULL_WIDTH,
    HALF_WIDTH,
    RASTER_POINTS,
    SHADE,
    literal,
    method_colours,
    method_looks,
    styled,
)
from pipeline.percent import in_percent

SHADES = (0.16, 0.08, 0.0)  # of neighbouring groups, in turn
BAR = 0.86
LETTERS_PER_INCH = 12
NO_IMAGE = 0.5  # where a category that is not in training stands on a log axis


def ap_vs_frequency(per_category: pd.DataFrame, grouping: Grouping) -> pd.DataFrame:
    """One row a (method, category): method, name, group, the training counts, AP in percent."""
    columns = ["method", "name", "group", "image_count", "instance_count", "AP"]
    groups, ap = per_category.group.map(grouping.name), per_category.AP.map(in_percent)
    return per_category[columns].assign(group=groups, AP=ap)


def ap_by_frequency(metrics, grouping: Grouping) -> pd.DataFrame:
    """One row a (method, group): method, group (all, rare, ...), AP in percent."""
    keys = {"all": "AP", **{group.name: group.key for group in grouping.groups}}
    rows = [
        (method, name, in_percent(values[key]))
        for method, values in metrics.items()
        for name, key in keys.items()
    ]
    return pd.DataFrame(rows, columns=["method", "group", "AP"]).astype({"AP": float})


def binned_means(counts, ap):
    """Means over bins of equal width on a log axis: (bins,) training images, (bins,) AP.

    The first is the geometric mean of a bin's counts. At most 10 bins, fewer for few categories;
    bins without a category are left out.
    """
    logs = np.log(counts)
    bins = int(np.clip(len(counts) // 5, 1, 10))
    edges = np.linspace(logs.min(), logs.max(), bins + 1)
    bin_of = np.digitize(logs, edges[1:-1])
    members = [bin_of == i for i in range(bins) if (bin_of == i).any()]
    return (
        np.array([np.exp(logs[m].mean()) for m in members]),
        np.array([ap[m].mean() for m in members]),
    )


def group_edges(categories: pd.DataFrame, grouping) -> dict[str, tuple[float, float]]:
    """Per group code its (low, high) on the axis of counts; {} where the groups overlap.

    What is in no group comes first.
    """
    counts = axis_counts(categories, grouping)
    spans = counts.groupby(categories.group).agg(["min", "max"])
    present = [code for code in (NO_GROUP, *grouping.names) if code in spans.index]
    lows = [spans.loc[g, "min"] for g in present]
    highs = [spans.loc[g, "max"] for g in present]
    if any(high >= low for high, low in zip(highs, lows[1:], strict=False)):
        return {}
    borders = [np.sqrt(h * low) for h, low in zip(highs, lows[1:], strict=False)]
    edges = [lows[0] / 1.25, *borders, highs[-1] * 1.25]
    return {g: (edges[i], edges[i + 1]) for i, g in enumerate(present)}


def axis_counts(categories, grouping):
    return categories[grouping.count].clip(lower=NO_IMAGE)


@styled
def draw_ap_vs_frequency(per_category, methods, baseline, grouping) -> Figure:
    figure = Figure(figsize=(FULL_WIDTH, 3.9), layout="constrained")
    axes = figure.subplots()
    shade_groups(axes, per_category, grouping)
    many = len(per_category) > RASTER_POINTS
    dots = dict(s=9 if many else 17, alpha=0.45, linewidths=0, rasterized=many)
    for method, look in method_looks(methods, baseline).items():
        known = per_category[(per_category.method == method) & per_category.AP.notna()]
        if known.empty:
            continue
        counts = axis_counts(known, grouping).to_numpy(float)
        ap = 100 * known.AP.to_numpy()
        axes.scatter(counts, ap, **look.marker, **dots)
        line = look.line | look.marker | dict(lw=2.2, ms=4)
        axes.plot(*binned_means(counts, ap), label=literal(method), **line)
    log_counts(axes, grouping)
    axes.set_ylim(-3, 112)
    axes.set_yticks(range(0, 101, 20))
    axes.set_ylabel("AP of the category, %")
    axes.grid(axis="y")
    legend_above(figure, axes)
    return figure


def log_counts(axes, grouping):
    """The x axis of training counts."""
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    axes.set_xlabel(f"training {grouping.unit} of the category (log)")


def shade_groups(axes, per_category, grouping):
    edges = group_edges(per_category, grouping)
    for i, (code, (low, high)) in enumerate(edges.items()):
        axes.axvspan(low, high, color=SHADE, alpha=SHADES[i % len(SHADES)], lw=0)
        name, place = grouping.name(code), np.sqrt(low * high)
        axes.text(place, 110, name, ha="center", va="top", alpha=0.75)
    if edges:
        axes.set_xlim(min(edges.values())[0], max(edges.values())[1])


def legend_above(figure, axes):
    """One legend for all panels, in as many columns as the longest name leaves room for."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        room = figure.get_figwidth() * LETTERS_PER_INCH // (max(map(len, labels)) + 7)
        columns = int(np.clip(room, 1, len(labels)))
        figure.legend(handles, labels, loc="outside upper left", ncols=columns)


@styled
def draw_ap_by_frequency(table, methods, baseline) -> Figure:
    """Grouped bars of the ``ap_by_frequency`` table; "none" stands where there is no bar."""
    figure = Figure(figsize=(HALF_WIDTH, 3.2), layout="constrained")
    axes = figure.subplots()
    width = 0.84 / len(methods)
    groups = list(dict.fromkeys(table.group))
    crowd = len(methods) * len(groups)
    for i, (method, look) in enumerate(method_looks(methods, baseline).items()):
        ap = table[table.method == method].set_index("group").AP.reindex(groups)
        places = np.arange(len(groups)) + (i - (len(methods) - 1) / 2) * width
        bars = axes.bar(places, ap.fillna(0), width * 0.94, label=literal(method), **look.bar)
        texts = ["none" if np.isnan(v) else f"{v:.1f}" for v in ap]
        turn = 90 if crowd > 16 else 0
        axes.bar_label(bars, texts, padding=2, fontsize=7 if crowd < 13 else 6, rotation=turn)
    axes.set_xticks(range(len(groups)), groups)
    axes.tick_params(axis="x", length=0)
    axes.set_ylabel("AP, %")
    axes.margins(y=0.12)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    legend_above(figure, axes)
    return figure


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
