"""reports/data/<name>.html: one self-contained page about a data set."""

from pathlib import Path

import numpy as np

from pipeline.data.statistics import statistics
from pipeline.evaluation.groupings import LVIS
from pipeline.files import write_text
from pipeline.pages.style import for_page, to_svg
from pipeline.pages.template import render_template
from pipeline.reporting.data_plots import SPLITS, draw

SHOWN = {  # what a plot shows, in words; the numbers are in the page's tables
    "categories": "Training images, training objects and val objects of every category",
    "boxes_per_image": "Histogram of objects per image, train and val",
    "box_sizes": "Histogram of object sizes, train and val",
    "image_sizes": "Widths and heights of the images, train and val",
}


def write_data_page(path: Path, name: str, documents: dict[str, dict]) -> None:
    """``documents``: the LVIS-format train and val documents."""
    splits = {split: statistics(documents[split]) for split in SPLITS}
    categories = documents["train"]["categories"]
    letters = np.array([category["frequency"] for category in categories])
    page = render_template(
        Path(__file__).with_suffix(".html.j2"),
        name=name,
        groups=LVIS.names,
        splits=splits,
        letters=letters,
        frequency_rows=frequency_rows(splits, letters),
        box_rows=box_rows(splits),
        image_rows=image_rows(splits),
        categories=category_rows(categories, splits),
        plot_titles=SHOWN,
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
        for letter, name in LVIS.names.items()
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
