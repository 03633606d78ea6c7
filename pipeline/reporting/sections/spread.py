"""How sure the numbers are: over training seeds, and over the choice of the val images."""

from matplotlib.figure import Figure

from pipeline.pages.style import FULL_WIDTH, SHADE, literal, method_colours, styled
from pipeline.percent import NONE, percent
from pipeline.reporting.findings import headline
from pipeline.reporting.sections import Plot, Section
from pipeline.tables.ap import MASKS, difference
from pipeline.tables.formats import KINDS
from pipeline.tables.seeds import OverSeeds

TITLE = "How sure"
PLACE = 20


def make(inputs) -> Section:
    """Of the boxes, and of the masks, as far as there is something to say."""
    boxes = headline(inputs)
    masks = {MASKS + key: f"mask {title}" for key, title in boxes.items()}
    kinds = {"spread": ("Box AP", boxes), "spread_segm": ("Mask AP", masks)}
    spreads = [
        {"of": of, "plot": plot, "titles": titles, "rows": rows}
        for plot, (of, titles) in kinds.items()
        if (rows := spread_rows(inputs.seeds, titles, inputs.baseline))
    ]
    return Section(
        values={"spreads": spreads} if spreads else None,
        plots={name: spread_plot(inputs, titles) for name, (_, titles) in kinds.items()},
        files={f"over_seeds.{kind}": of(inputs.seeds_table) for kind, of in KINDS.items()},
    )


def spread_plot(inputs, titles) -> Plot:
    ap, *_ = titles.values()
    return Plot(
        f"Difference to {inputs.baseline} in {ap} and by group, with intervals",
        draw_spread(inputs.seeds, titles, inputs.methods, inputs.baseline),
    )


def spread_rows(found: dict[str, OverSeeds], titles: dict[str, str], baseline: str) -> list[dict]:
    """One row a method that has masks or whatever ``titles`` speak of: its seeds, and a cell for
    each of them; [] where one seed and no interval is all there is, or the baseline has none.

    A cell has ``text``, the mean and, of several seeds, the sample standard deviation, and, but of
    the baseline, the ``difference`` of the means, its ``interval`` [low, high], and whether that
    excludes 0.
    """
    found = measured(found, titles)
    if baseline not in found or not (several_seeds(found) or has_intervals(found, titles)):
        return []
    return [
        {
            "method": method,
            "seeds": [seed for seed in own.seeds if seed is not None],
            "cells": [cell(own, found[baseline], key) for key in titles],
        }
        for method, own in found.items()
    ]


def measured(found, titles):
    """The methods that have all of these metrics."""
    return {method: own for method, own in found.items() if titles.keys() <= own.summaries.keys()}


def several_seeds(found) -> bool:
    return any(len(own.seeds) > 1 for own in found.values())


def has_intervals(found, titles) -> bool:
    return any(own.intervals[key] for own in found.values() for key in titles)


def cell(own: OverSeeds, base: OverSeeds, key) -> dict:
    summary, interval = own.summaries[key], own.intervals[key]
    text = NONE if summary.mean is None else percent(summary.mean)
    if summary.sd is not None:
        text += f" ± {percent(summary.sd)}"
    change = None if own is base else difference(summary.mean, base.summaries[key].mean)
    ends = interval and [percent(end, signed=True) for end in (interval.low, interval.high)]
    return {
        "text": text,
        "difference": None if change is None else percent(change, signed=True),
        "ends": ends,
        "sure": bool(interval and interval.excludes_zero),
    }


@styled
def draw_spread(found: dict[str, OverSeeds], titles, methods, baseline) -> Figure | None:
    """Differences to the baseline: the mean, its interval and, of several seeds, each seed's.

    None where there is nothing to compare, or where no method was diagnosed.
    """
    found = measured(found, titles)
    others = [m for m in methods if m != baseline and m in found]
    if baseline not in found or not has_intervals(found, titles):
        return None
    figure = Figure(figsize=(FULL_WIDTH, 0.9 + 0.34 * len(others)), layout="constrained")
    panels = figure.subplots(1, len(titles), sharey=True, squeeze=False)[0]
    colours = method_colours(methods, baseline)
    for axes, (key, title) in zip(panels, titles.items(), strict=True):
        axes.axvline(0, c=SHADE, lw=0.9)
        for place, method in enumerate(others):
            draw_difference(axes, place, found[method], found[baseline], key, colours[method])
        axes.set_title(f"Δ{title}")
        axes.set_xlabel("points")
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x")
        axes.margins(x=0.1)
    panels[0].set_yticks(range(len(others)), [literal(method) for method in others])
    panels[0].set_ylim(len(others) - 0.5, -0.5)
    return figure


def draw_difference(axes, place, own, base, key, colour):
    interval = own.intervals[key]
    if interval:
        ends = [100 * interval.low, 100 * interval.high]
        axes.plot(ends, [place, place], c=colour, lw=3, alpha=0.45, solid_capstyle="butt")
    if len(own.seeds) > 1:
        reference = dict(zip(base.seeds, base.values[key], strict=True))
        values = dict(zip(own.seeds, own.values[key], strict=True))
        known = [100 * (values[s] - reference[s]) for s in values if has_both(values, reference, s)]
        axes.scatter(known, [place] * len(known), s=9, color=colour)
    means = own.summaries[key].mean, base.summaries[key].mean
    if None not in means:
        difference = 100 * (means[0] - means[1])
        axes.scatter([difference], [place], s=34, marker="D", color=colour, zorder=3, linewidths=0)


def has_both(values, reference, seed):
    return values[seed] is not None and reference.get(seed) is not None
