"""The ground truth as columns: what evaluation needs of an LVIS-format annotation file."""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.data import masks
from pipeline.data.annotation_file import read_annotation_file
from pipeline.data.fields import FEDERATED, TEXT, is_finite, is_text, label, refusal

FREQUENCIES = ["r", "c", "f"]  # a list: whatever a file has there can be looked for in it
REQUIRED = {
    "images": ("id", *FEDERATED),
    "annotations": ("id", "image_id", "category_id", "bbox", "area"),
    "categories": ("id", "frequency"),
}
OPTIONAL = {"annotations": ("ignore",)}
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
    required = dict(REQUIRED)
    if iou_type == "segm":
        required["annotations"] += ("segmentation",)
        required["images"] += ("height", "width")
    data = read_annotation_file(path, required, OPTIONAL, REMEDY)
    check_values(path, data)
    note_strangers(path, data)
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
        segmentation=read_masks(path, images, annotations) if iou_type == "segm" else None,
    )


def positions(items, ids):
    """Where each of ``ids`` stands among ``items``, which ascend by id."""
    return np.searchsorted(np.array([item["id"] for item in items], np.int64), ids)


def area_of(annotation):
    """lvis-api skips an annotation with ``ignore`` as it skips one outside the area range."""
    return OUTSIDE_EVERY_AREA_RANGE if annotation.get("ignore") else annotation["area"]


def check_values(path, data):
    for position, category in enumerate(data["categories"]):
        if category["frequency"] not in FREQUENCIES:
            refuse(path, "categories", position, category, "frequency", "LVIS has r, c or f")
        if isinstance(category.get("name"), str) and not is_text(category["name"]):
            refuse(path, "categories", position, category, "name", TEXT.wanted)
    for position, annotation in enumerate(data["annotations"]):
        if not is_finite(annotation["area"]):
            wanted = "LVIS has a finite number of square pixels"
            refuse(path, "annotations", position, annotation, "area", wanted)


def refuse(path, section, position, item, name, wanted):
    raise ValueError(refusal(path, label(section, item, position), name, item[name], wanted))


def note_strangers(path, data):
    """An id that no category has is without effect in the federated lists, as in lvis-api."""
    known = {category["id"] for category in data["categories"]}
    for name in FEDERATED:
        strange = [i["id"] for i in data["images"] if not known.issuperset(i[name])]
        if strange:
            print(
                f"note: {path}: {len(strange)} images have ids under {name} that no category has, "
                f"without effect; the first: image {strange[0]}",
                file=sys.stderr,
            )


def read_masks(path, images, annotations) -> list:
    """The polygons or RLE of each annotation; ``ValueError`` where one has none."""
    sizes = {image["id"]: [image["height"], image["width"]] for image in images}
    found = [masks.read_mask(path, a, sizes[a["image_id"]]) for a in annotations]
    for annotation, mask in zip(annotations, found, strict=True):
        if mask is None:
            raise ValueError(
                f"{path}: annotation {annotation['id']} has an empty segmentation{REMEDY}"
            )
    return found
