"""The objects of the val images, as the gallery needs them."""

from dataclasses import dataclass

import pandas as pd

from pipeline.evaluation.groupings import Grouping
from pipeline.files import read_json


@dataclass(frozen=True)
class Truth:
    """``objects``: image_id, category_id, group, x0, y0, x1, y1; one row an annotation.

    ``segmentations`` are the objects' in the same order.
    """

    images: dict[int, dict]
    objects: pd.DataFrame
    names: dict[int, str]
    groups: dict[int, str]
    segmentations: list


def load_truth(path, grouping: Grouping) -> Truth:
    """The LVIS-format val annotations; ``ValueError`` where the file is missing or broken."""
    data = read_json(path)
    codes = grouping.codes(data["categories"]).tolist()
    groups = {c["id"]: code for c, code in zip(data["categories"], codes, strict=True)}
    objects = pd.DataFrame(
        [(a["image_id"], a["category_id"], *a["bbox"]) for a in data["annotations"]],
        columns=["image_id", "category_id", "x", "y", "w", "h"],
    )
    objects = with_corners(objects)
    objects["group"] = objects.category_id.map(groups)
    names = {c["id"]: c["name"] for c in data["categories"]}
    segmentations = [a.get("segmentation") for a in data["annotations"]]
    return Truth({i["id"]: i for i in data["images"]}, objects, names, groups, segmentations)


def with_corners(boxes):
    """x, y, w, h (pixels) become x0, y0, x1, y1."""
    return boxes.drop(columns=["x", "y", "w", "h"]).assign(
        x0=boxes.x, y0=boxes.y, x1=boxes.x + boxes.w, y1=boxes.y + boxes.h
    )
