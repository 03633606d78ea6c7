"""What a data set is like: counts per category, boxes per image, sizes of boxes and images."""

from dataclasses import dataclass

import numpy as np

SMALL, MEDIUM = 32**2, 96**2  # LVIS's and COCO's limits, in square pixels of the object's area


@dataclass(frozen=True)
class Statistics:
    """Of one split: I images, G objects, K categories in the order of the document.

    ``image_count`` and ``instance_count`` [K]; ``boxes`` [I] per image; ``areas`` [G] in square
    pixels; ``sizes`` [I, 2] as width, height; ``images_of_group``: r, c, f -> images with one.
    """

    image_count: np.ndarray
    instance_count: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    sizes: np.ndarray
    images_of_group: dict[str, int]

    @property
    def area_shares(self) -> list[float]:
        """Of small, medium and large objects; 0 to 1."""
        counts = np.bincount(np.digitize(self.areas, (SMALL, MEDIUM)), minlength=3)
        return [float(count) / max(len(self.areas), 1) for count in counts]


def statistics(document: dict) -> Statistics:
    """Of an LVIS-format document: its ``images``, ``annotations`` and ``categories``."""
    images, annotations = document["images"], document["annotations"]
    image = positions(images, [a["image_id"] for a in annotations])
    category = positions(document["categories"], [a["category_id"] for a in annotations])
    pairs = np.unique(np.stack([image, category]), axis=1)
    count = len(document["categories"])
    letters = np.array([c["frequency"] for c in document["categories"]])
    return Statistics(
        image_count=np.bincount(pairs[1], minlength=count),
        instance_count=np.bincount(category, minlength=count),
        boxes=np.bincount(image, minlength=len(images)),
        areas=np.array([a["area"] for a in annotations], float),
        sizes=np.array([(i["width"], i["height"]) for i in images], int).reshape(-1, 2),
        images_of_group={g: len(np.unique(pairs[0][letters[pairs[1]] == g])) for g in "rcf"},
    )


def positions(items, ids):
    """Where each of ``ids`` stands among ``items``, in their own order."""
    place = {item["id"]: position for position, item in enumerate(items)}
    return np.array([place[i] for i in ids], np.int64)
