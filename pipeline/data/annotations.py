"""COCO- or LVIS-format annotations, completed to the LVIS format that the pipeline works on.

What LVIS asks for and a file lacks is computed:

- ``frequency`` by LVIS's rule on the training images (``categories.frequency``), unless every
  category of the train file carries one; ``image_count`` and ``instance_count`` always.
- ``neg_category_ids`` of exhaustive annotation (COCO): every category that is not in the image.
- ``area`` where it is missing or no positive number, ``segmentation`` (the box as a polygon).

LVIS has no crowds and no regions to ignore, no box can match an empty one, and mmdet trains on none
that is thinner than a pixel. Such an annotation is left out, and its category counts as not
exhaustively annotated in that image: a detection of it is neither right nor wrong. So training,
counts and evaluation see the same objects; in val also the thin ones, which LVIS judges.
"""

from collections import Counter, defaultdict
from pathlib import Path

from pipeline.data import boxes, masks
from pipeline.data.annotation_file import read_annotation_file
from pipeline.data.categories import frequency
from pipeline.data.changes import Changes
from pipeline.data.fields import FEDERATED, is_finite
from pipeline.messages import shown

REQUIRED = {
    "images": ("id", "width", "height"),
    "annotations": ("id", "image_id", "category_id", "bbox"),
    "categories": ("id", "name"),
}
OPTIONAL = {
    "images": ("file_name", "coco_url", *FEDERATED),
    "annotations": ("area", "iscrowd", "ignore"),
}
THINNEST = 1  # pixel, of a box that is trained on
GROUPS = ["r", "c", "f"]  # a list: whatever a file has there can be looked for in it
IMAGE_FIELDS = ("id", "file_name", "coco_url", "width", "height")

LEFT_OUT = "left out, their category is not exhaustive there"
CROWD = f"annotations are crowds (iscrowd): {LEFT_OUT}"
IGNORED = f"annotations have the flag ignore: {LEFT_OUT}"
EMPTY = f"boxes are empty or outside of their image: {LEFT_OUT}"
THIN = f"boxes are thinner than a pixel, on which mmdet does not train: {LEFT_OUT}"
CLIPPED = "boxes reach out of their image: clipped"
NO_MASK = "annotations have no mask: the box stands in"
FLAT = "masks are a flat list of numbers: read as one polygon"
LINES = "masks have polygons of fewer than three corners: these are skipped"
NO_PIXEL = "masks are empty: the box stands in"
BESIDE = "masks lie beside their box: both are kept"
AREA = "areas are not positive or larger than their image: computed"
STRANGERS = "images name categories in {} that the file does not have: skipped"
CROWD_HINT = (
    "some exporters write iscrowd 1 for every RLE mask; if these are single objects, set iscrowd "
    "to 0 in the file"
)


def read_split(path: str | Path, split: str) -> dict:
    """One annotation file, all but the train counts completed; prints what it had to change.

    ``split`` is "train" or "val". ``ValueError`` for a file that is broken, and for one without an
    object to train on or to judge.
    """
    data = read_annotation_file(path, REQUIRED, OPTIONAL, pack=True)
    check_files_named(path, data["images"])
    check_federated(path, data["images"])
    check_names(path, data["categories"])
    images = {image["id"]: image for image in data["images"]}
    changes = Changes()
    single = [a for a in data["annotations"] if not is_flagged(a, changes)]
    boxes.check_unit(path, single, images)
    completed = (completed_annotation(path, a, images, changes, split) for a in single)
    kept = [annotation for annotation in completed if annotation]
    completed_images = complete_images(data, kept, changes)
    lines = changes.lines(annotations=len(data["annotations"]), images=len(images))
    if 2 * changes.count[CROWD] > len(data["annotations"]):
        lines.append(CROWD_HINT)
    if not kept:
        raise ValueError(f"{path} has no usable annotation{''.join(f'; {line}' for line in lines)}")
    for line in lines:
        print(f"{split}: {line}")
    return {"images": completed_images, "annotations": kept, "categories": data["categories"]}


def check_files_named(path, images):
    for image in images:
        if not (image.get("file_name") or image.get("coco_url")):
            raise ValueError(
                f"{path}: image {image['id']} has neither file_name nor coco_url; one is needed"
            )


def check_federated(path, images):
    for name in FEDERATED:
        without = [image["id"] for image in images if image.get(name) is None]
        if without and len(without) < len(images):
            raise ValueError(
                f"{path}: {len(without)} of {len(images)} images have no list {name!r}, the first "
                f"is image {without[0]}; all must have it (LVIS) or none (COCO)"
            )


def check_names(path, categories):
    seen = {}
    for category in categories:
        name = category["name"]
        if name in seen:
            raise ValueError(
                f"{path}: the categories {seen[name]} and {category['id']} are both named "
                f"{shown(name)}; rename one"
            )
        seen[name] = category["id"]


def is_flagged(annotation, changes) -> bool:
    for flag, what in (("iscrowd", CROWD), ("ignore", IGNORED)):
        if annotation.get(flag):
            changes.add(what, "annotation", annotation["id"])
            return True
    return False


def completed_annotation(path, annotation, images, changes, split) -> dict | None:
    """LVIS's fields of an annotation; None where no object is left to learn from or to judge."""
    image = images[annotation["image_id"]]
    mask = read_mask(path, annotation, image, changes)
    box = boxes.clipped(annotation["bbox"], image)
    if box is None:
        changes.add(EMPTY, "annotation", annotation["id"])
        return None
    if box != annotation["bbox"]:
        changes.add(CLIPPED, "annotation", annotation["id"])
    if split == "train" and min(box[2:]) < THINNEST:
        changes.add(THIN, "annotation", annotation["id"])
        return None
    area, mask = area_and_mask(annotation, box, mask, image, changes)
    fields = {name: annotation[name] for name in ("id", "image_id", "category_id")}
    return {**fields, "bbox": box, "area": area, "segmentation": mask, "iscrowd": 0}


def read_mask(path, annotation, image, changes) -> list | dict | None:
    mask = masks.read_mask(path, annotation, size_of(image))
    if masks.is_flat(annotation.get("segmentation")):
        changes.add(FLAT, "annotation", annotation["id"])
    if isinstance(mask, list) and (short := sum(len(polygon) < 6 for polygon in mask)):
        changes.add(LINES, "annotation", annotation["id"])
        mask = [p for p in mask if len(p) >= 6] if short < len(mask) else None
    return mask


def area_and_mask(annotation, box, mask, image, changes) -> tuple[float, list | dict]:
    """The area of the file where it can be one; else that of the mask, or of the box."""
    size = size_of(image)
    area = annotation.get("area")
    usable = is_finite(area) and 0 < area <= size[0] * size[1]
    if area is not None and not usable:
        changes.add(AREA, "annotation", annotation["id"])
    if mask is None:
        changes.add(NO_MASK, "annotation", annotation["id"])
    elif (bounds := masks.bounds(mask, size)) is None:
        changes.add(NO_PIXEL, "annotation", annotation["id"])
        mask, usable = None, False
    elif not boxes.touches(box, bounds):
        changes.add(BESIDE, "annotation", annotation["id"])
    if not usable:
        area = (mask and masks.area(mask, size)) or box[2] * box[3]
    return area, mask or boxes.polygon(box)


def size_of(image) -> list[int]:
    return [image["height"], image["width"]]


def complete_images(data, kept, changes) -> list[dict]:
    """The images with the federated lists: verified absent, and not exhaustively annotated."""
    used = {annotation["id"] for annotation in kept}
    present, unsure = defaultdict(set), defaultdict(set)
    for annotation in data["annotations"]:
        group = present if annotation["id"] in used else unsure
        group[annotation["image_id"]].add(annotation["category_id"])
    everything = {category["id"] for category in data["categories"]}
    completed = []
    for image in data["images"]:
        for name in FEDERATED:
            if not everything.issuperset(image.get(name) or ()):
                changes.add(STRANGERS.format(name), "image", image["id"])
        doubtful = unsure[image["id"]]
        negative = image.get("neg_category_ids")
        if negative is None:
            negative = sorted(everything - present[image["id"]])
        listed = image.get("not_exhaustive_category_ids") or []
        completed.append(
            {
                **{name: image[name] for name in IMAGE_FIELDS if image.get(name) is not None},
                "neg_category_ids": [
                    c for c in negative if c in everything and c not in doubtful
                ],
                "not_exhaustive_category_ids": [
                    *(c for c in listed if c in everything), *sorted(doubtful - set(listed))
                ],
            }
        )  # fmt: skip
    return completed


def complete_categories(train: dict, val: dict) -> list[dict]:
    """The categories of both splits with frequency and the counts of the training images.

    ``ValueError`` that names a category where the two splits do not have the same ids and names.
    """
    check_same_categories(train["categories"], val["categories"])
    pairs = {(a["category_id"], a["image_id"]) for a in train["annotations"]}
    image_count = Counter(category for category, _ in pairs)
    instance_count = Counter(a["category_id"] for a in train["annotations"])
    unseen = [c["name"] for c in train["categories"] if not image_count[c["id"]]]
    if unseen:
        print(f"train: {len(unseen)} categories are in no image; the first: {shown(unseen[0])}")
    given = has_frequencies(train["categories"])
    return [
        {
            "id": category["id"],
            "name": category["name"],
            "frequency": category["frequency"] if given else frequency(image_count[category["id"]]),
            "image_count": image_count[category["id"]],
            "instance_count": instance_count[category["id"]],
        }
        for category in sorted(train["categories"], key=lambda category: category["id"])
    ]


def has_frequencies(categories) -> bool:
    """Whether each category carries one; said aloud where only some do."""
    without = [c for c in categories if c.get("frequency") not in GROUPS]
    if without and any(c.get("frequency") is not None for c in categories):
        print(
            f"train: {len(without)} of {len(categories)} categories have no frequency r, c or f; "
            f"it is computed for all; the first: {without[0]['id']} {shown(without[0]['name'])}"
        )
    return not without


def check_same_categories(train, val):
    both = [{category["id"]: category["name"] for category in split} for split in (train, val)]
    for split, mine, other in (("train", *both), ("val", *reversed(both))):
        for identifier, name in mine.items():
            if identifier not in other:
                raise ValueError(
                    f"train and val must have the same categories; {identifier} {shown(name)} is "
                    f"only in {split}"
                )
            if other[identifier] != name:
                raise ValueError(
                    f"train and val must have the same categories; {identifier} is "
                    f"{shown(both[0][identifier])} in train and {shown(both[1][identifier])} in val"
                )
