"""The ground truth as columns: what evaluation needs of an LVIS-format annotation file."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.data.annotation_file import read_annotation_file

FREQUENCIES = ("r", "c", "f")
FIELDS = {
    "images": ("id", "neg_category_ids", "not_exhaustive_category_ids"),
    "annotations": ("id", "image_id", "category_id", "bbox", "area"),
    "categories": ("id", "frequency"),
}
REMEDY = "; LVIS evaluation needs it, and the stage `prepare` computes it"
OUTSIDE_EVERY_AREA_RANGE = 1e12


@dataclass(frozen=True)
class Truth:
    """G annotations over I images and K categories; images and categories ascend by id.

    ``image`` and ``category`` [G] are positions in ``images`` and ``categories`` (dicts as in
    the file); ``boxes`` [G, 4] are xywh in pixels, ``area`` [G] is in square pixels.
    """

    path: Path
    images: list[dict]
    categories: list[dict]
    image: np.ndarray
    category: np.ndarray
    boxes: np.ndarray
    area: np.ndarray
    segmentation: list | None

    @property
    def image_ids(self):
        return np.array([image["id"] for image in self.images], np.int64)

    @property
    def category_ids(self):
        return np.array([category["id"] for category in self.categories], np.int64)


def read_truth(path: str | Path, iou_type: str = "bbox") -> Truth:
    """Read and check an annotation file; ``ValueError`` says what an LVIS file would have."""
    fields = dict(FIELDS)
    if iou_type == "segm":
        fields["annotations"] += ("segmentation",)
        fields["images"] += ("height", "width")
    data = read_annotation_file(path, fields, REMEDY)
    check_values(path, data)
    images = sorted(data["images"], key=lambda image: image["id"])
    categories = sorted(data["categories"], key=lambda category: category["id"])
    annotations = [a for a in data["annotations"] if a["area"] > 0]  # as lvis-api does
    return Truth(
        path=Path(path),
        images=images,
        categories=categories,
        image=positions(images, [a["image_id"] for a in annotations]),
        category=positions(categories, [a["category_id"] for a in annotations]),
        boxes=np.array([a["bbox"] for a in annotations], float).reshape(-1, 4),
        area=np.array([area_of(a) for a in annotations], float),
        segmentation=[a["segmentation"] for a in annotations] if iou_type == "segm" else None,
    )


def positions(items, ids):
    """Where each of ``ids`` stands among ``items``, which ascend by id."""
    return np.searchsorted(np.array([item["id"] for item in items], np.int64), ids)


def area_of(annotation):
    """lvis-api skips an annotation with ``ignore`` as it skips one outside the area range."""
    return OUTSIDE_EVERY_AREA_RANGE if annotation.get("ignore") else annotation["area"]


def check_values(path, data):
    for category in data["categories"]:
        if category["frequency"] not in FREQUENCIES:
            refuse(path, "category", category, "frequency", "r, c or f")
    for image in data["images"]:
        for name in ("neg_category_ids", "not_exhaustive_category_ids"):
            if not isinstance(image[name], list):
                refuse(path, "image", image, name, "a list of category ids")
    for annotation in data["annotations"]:
        if type(annotation["area"]) not in (int, float) or not math.isfinite(annotation["area"]):
            refuse(path, "annotation", annotation, "area", "a finite number of square pixels")


def refuse(path, kind, item, name, wanted):
    raise ValueError(
        f"{path}: {kind} {item['id']} has the {name} {item[name]!r}; LVIS has {wanted}"
    )
