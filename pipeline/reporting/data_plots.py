"""The plots about a data set: counts of categories, objects per image, sizes."""

import matplotlib.ticker
import numpy as np
from matplotlib.figure import Figure

from pipeline.data.statistics import MEDIUM, SMALL, Statistics
from pipeline.evaluation.groupings import LVIS
from pipeline.pages.style import COLOURS, FULL_WIDTH, HALF_WIDTH, SHADE, styled
from pipeline.reporting.axes import NO_IMAGE, legend_above

SPLITS = {"train": COLOURS[0], "val": COLOURS[1]}
BINS = 40
DRAWN_IMAGES = 0.99
LARGEST_DOT = 260  # square points, for the most frequent image size
HEADROOM = 8  # above the highest dot, for the names of the groups


def draw(splits: dict[str, Statistics], letters) -> dict[str, Figure]:
    return {
        "categories": draw_categories(splits, letters),
        "boxes_per_image": draw_boxes(splits),
        "box_sizes": draw_box_sizes(splits),
        "image_sizes": draw_image_sizes(splits),
    }


@styled
def draw_categories(splits, letters) -> Figure:
    """Images and objects of every category, from the most to the fewest training images."""
    train = splits["train"]
    order = np.argsort(-train.image_count, kind="stable")
    places = np.arange(1, len(order) + 1)
    figure = Figure(figsize=(FULL_WIDTH, 3.6), layout="constrained")
    axes = figure.subplots()
    many = len(order) > 300
    dots = dict(s=6 if many else 14, linewidths=0, alpha=0.75)
    for split, colour in SPLITS.items():
        objects = np.maximum(splits[split].instance_count[order], NO_IMAGE)
        axes.scatter(places, objects, color=colour, label=f"{split} objects", **dots)
    images = np.maximum(train.image_count[order], NO_IMAGE)
    axes.plot(places, images, color=SHADE, lw=2.2, label="train images", zorder=1)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(matplotlib.ticker.StrMethodFormatter("{x:,.0f}"))
    axes.set_xlim(0, len(order) + 1)
    axes.set_ylim(top=HEADROOM * max(s.instance_count.max() for s in splits.values()))
    axes.set_ylabel("images or objects (log)")
    axes.set_xlabel("categories, from the most to the fewest training images")
    axes.grid(axis="y")
    mark_borders(axes, letters[order])
    legend_above(figure, axes)
    return figure


def mark_borders(axes, letters):
    """Dashed lines between the groups and their names, where the groups do not overlap."""
    starts = [0, *(np.flatnonzero(letters[1:] != letters[:-1]) + 1).tolist()]
    if len(starts) > len(set(letters)):
        return
    ends = [*starts[1:], len(letters)]
    for start, end in zip(starts, ends, strict=True):
        if start:
            axes.axvline(start + 0.5, c=SHADE, lw=0.8, ls=(0, (3, 3)))
        # the outer names keep inside of the plot, however narrow their groups are
        side = "left" if start == 0 else "right" if end == len(letters) else "center"
        place = {"left": 0.6, "center": (start + end + 1) / 2, "right": len(letters) + 0.6}[side]
        text = f"{LVIS.names[letters[start]]}, {end - start:,}"
        axes.text(
            place, 0.98, text, transform=axes.get_xaxis_transform(), ha=side, va="top", alpha=0.75
        )


@styled
def draw_boxes(splits) -> Figure:
    """Without the crowded few: on LVIS they would take four fifths of the axis."""
    both = np.concatenate([s.boxes for s in splits.values()])
    end = int(np.quantile(both, DRAWN_IMAGES)) + 1
    edges = np.arange(0, end + 1, -(-end // BINS)) - 0.5
    figure, axes = half_figure()
    for split, colour in SPLITS.items():
        outline(axes, splits[split].boxes, edges, split, colour)
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
    axes.set_xlabel("objects of the image")
    axes.set_ylabel("share of the images, %")
    legend_above(figure, axes)
    return figure


@styled
def draw_box_sizes(splits) -> Figure:
    sides = {split: np.sqrt(s.areas[s.areas > 0]) for split, s in splits.items()}
    both = np.concatenate(list(sides.values()))
    lowest = max(both.min(), min(1, both.max() / 2))  # specks would stretch the axis
    edges = np.geomspace(lowest, both.max() * 1.001, BINS + 1)
    figure, axes = half_figure()
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter("%g"))
    for split, colour in SPLITS.items():
        outline(axes, sides[split], edges, split, colour)
    for limit in (SMALL, MEDIUM):
        axes.axvline(limit**0.5, c=SHADE, lw=0.8, ls=(0, (3, 3)))
    axes.set_xlabel("square root of the object's area, pixels (log)")
    axes.set_ylabel("share of the objects, %")
    legend_above(figure, axes)
    return figure


def half_figure():
    figure = Figure(figsize=(HALF_WIDTH, 3.0), layout="constrained")
    axes = figure.subplots()
    axes.grid(axis="y")
    return figure, axes


def outline(axes, values, edges, label, colour):
    counts, _ = np.histogram(values, edges)
    heights = 100 * counts / max(len(values), 1)
    axes.stairs(heights, edges, color=colour, lw=1.8, label=label)
    axes.stairs(heights, edges, color=colour, fill=True, alpha=0.12)


@styled
def draw_image_sizes(splits) -> Figure:
    """A dot a size; its area is the number of images."""
    figure = Figure(figsize=(HALF_WIDTH, 3.0), layout="constrained")
    axes = figure.subplots()
    for split, colour in SPLITS.items():
        sizes, counts = np.unique(splits[split].sizes, axis=0, return_counts=True)
        area = np.maximum(LARGEST_DOT * counts / counts.max(), 4)
        axes.scatter(*sizes.T, s=area, color=colour, alpha=0.45, linewidths=0, label=split)
    largest = max(int(s.sizes.max()) for s in splits.values())
    axes.set(xlim=(0, largest * 1.12), ylim=(0, largest * 1.12))
    axes.set_xlabel("width, pixels")
    axes.set_ylabel("height, pixels")
    axes.grid()
    legend_above(figure, axes)
    return figure
