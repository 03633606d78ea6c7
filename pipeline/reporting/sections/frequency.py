"""AP against how often training shows a category: of each category, and of each group."""

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
    method_looks,
    styled,
)
from pipeline.percent import in_percent
from pipeline.reporting.axes import axis_counts, binned_means, legend_above, log_counts
from pipeline.reporting.findings import counted, deltas
from pipeline.reporting.sections import Plot, Section

TITLE = "By frequency"
PLACE = 30
EXTREMES = 5
SHADES = (0.16, 0.08, 0.0)  # of neighbouring groups, in turn


def make(inputs) -> Section:
    who, grouping = (inputs.methods, inputs.baseline), inputs.grouping
    bars = ap_by_frequency(inputs.metrics, grouping)
    return Section(
        values={"extremes": extremes(inputs)},
        plots={
            "ap_vs_frequency": Plot(
                f"AP of every category against its number of training {grouping.unit}",
                draw_ap_vs_frequency(inputs.per_category, *who, grouping),
                ap_vs_frequency(inputs.per_category, grouping),
            ),
            "ap_by_frequency": Plot(
                f"AP over all categories and by group: {', '.join(grouping.names.values())}",
                draw_ap_by_frequency(bars, *who),
                bars,
            ),
        },
    )


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


def shade_groups(axes, per_category, grouping):
    edges = group_edges(per_category, grouping)
    for i, (code, (low, high)) in enumerate(edges.items()):
        axes.axvspan(low, high, color=SHADE, alpha=SHADES[i % len(SHADES)], lw=0)
        name, place = grouping.name(code), np.sqrt(low * high)
        axes.text(place, 110, name, ha="center", va="top", alpha=0.75)
    if edges:
        axes.set_xlim(min(edges.values())[0], max(edges.values())[1])


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
