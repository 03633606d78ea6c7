"""reports/data/<name>.html: one self-contained page about a data set, and its plots."""

from pathlib import Path

import matplotlib.ticker
import numpy as np
from matplotlib.figure import Figure

from pipeline.data.statistics import MEDIUM, SMALL, Statistics, statistics
from pipeline.files import write_text
from pipeline.reporting.inputs import GROUPS
from pipeline.reporting.page import render_template
from pipeline.reporting.plots import NO_IMAGE, legend_above
from pipeline.reporting.style import (
    COLOURS,
    FULL_WIDTH,
    HALF_WIDTH,
    SHADE,
    for_page,
    styled,
    to_svg,
)

SPLITS = {"train": COLOURS[0], "val": COLOURS[1]}
SHOWN = {  # what a plot shows, in words; the numbers are in the page's tables
    "categories": "Training images, training objects and val objects of every category",
    "boxes_per_image": "Histogram of objects per image, train and val",
    "box_sizes": "Histogram of object sizes, train and val",
    "image_sizes": "Widths and heights of the images, train and val",
}
BINS = 40
DRAWN_IMAGES = 0.99
LARGEST_DOT = 260  # square points, for the most frequent image size
HEADROOM = 8  # above the highest dot, for the names of the groups


def write_data_page(path: Path, name: str, documents: dict[str, dict]) -> None:
    """``documents``: the LVIS-format train and val documents."""
    splits = {split: statistics(documents[split]) for split in SPLITS}
    categories = documents["train"]["categories"]
    letters = np.array([category["frequency"] for category in categories])
    page = render_template(
        "data.html.j2",
        name=name,
        groups=GROUPS,
        splits=splits,
        letters=letters,
        frequency_rows=frequency_rows(splits, letters),
        box_rows=box_rows(splits),
        image_rows=image_rows(splits),
        categories=category_rows(categories, splits),
        plots={
            key: for_page(to_svg(figure, key), key, SHOWN[key])
            for key, figure in draw(splits, letters).items()
        },
    )
    write_text(path, page)


def frequency_rows(splits, letters) -> list[dict]:
    """Per group of categories: how many, in how many images, with how many objects."""
    return [
        {
            "letter": letter,
            "name": name,
            "categories": int((letters == letter).sum()),
            **{
                split: {
                    "present": int((s.image_count[letters == letter] > 0).sum()),
                    "images": s.images_of_group[letter],
                    "objects": int(s.instance_count[letters == letter].sum()),
                    "share": share(s.instance_count[letters == letter].sum(), len(s.areas)),
                }
                for split, s in splits.items()
            },
        }
        for letter, name in GROUPS.items()
    ]


def share(part, whole) -> float:
    return float(part) / whole if whole else 0.0


def box_rows(splits) -> list[dict]:
    names = ("small, below 32² pixels", "medium", "large, from 96² pixels")
    shares = zip(*(s.area_shares for s in splits.values()), strict=True)
    return [{"name": n, "shares": row} for n, row in zip(names, shares, strict=True)]


def image_rows(splits) -> list[dict]:
    """Least, middle and greatest width, height and number of boxes, by split."""
    rows = []
    for split, s in splits.items():
        columns = {"width": s.sizes[:, 0], "height": s.sizes[:, 1], "boxes": s.boxes}
        rows.append(
            {
                "split": split,
                "empty": int((s.boxes == 0).sum()),
                "sizes": len(np.unique(s.sizes, axis=0)),
                "mean_boxes": float(s.boxes.mean()),
                **{key: spread(values) for key, values in columns.items()},
            }
        )
    return rows


def spread(values):
    return [int(values.min()), float(np.median(values)), int(values.max())]


def category_rows(categories, splits) -> list[dict]:
    """Most training images first."""
    rows = [
        {
            **{key: category[key] for key in ("id", "name", "frequency")},
            "counts": [
                int(counts[i])
                for s in splits.values()
                for counts in (s.image_count, s.instance_count)
            ],
        }
        for i, category in enumerate(categories)
    ]
    return sorted(rows, key=lambda row: -row["counts"][0])


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
        text = f"{GROUPS[letters[start]]}, {end - start:,}"
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
    edges = np.geomspace(max(both.min(), 1), both.max() * 1.001, BINS + 1)
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
