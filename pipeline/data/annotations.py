"""COCO- or LVIS-format annotations, completed to the LVIS format that the pipeline works on.

What LVIS asks for and a file lacks is computed:

- ``frequency`` by LVIS's rule on the training images (``categories.frequency``), unless every
  category of the train file carries one; ``image_count`` and ``instance_count`` always.
- ``neg_category_ids`` of exhaustive annotation (COCO): every category that is not in the image.
- ``area``, ``segmentation`` (the box as a polygon), ``iscrowd``.

LVIS has no crowds, and no box can match an empty one. Such an annotation is left out, and its
category counts as not exhaustively annotated in that image: a detection of it is neither right
nor wrong.
"""

from array import array
from collections import Counter, defaultdict
from pathlib import Path

from pipeline.data.annotation_file import read_annotation_file
from pipeline.data.categories import frequency

FIELDS = {
    "images": ("id", "width", "height"),
    "annotations": ("id", "image_id", "category_id", "bbox"),
    "categories": ("id", "name"),
}
FEDERATED = ("neg_category_ids", "not_exhaustive_category_ids")
ROUNDING = 1e-3  # pixels that a box may reach out of its image and stay as it is


def read_split(path: str | Path, split: str) -> dict:
    """One annotation file, all but the train counts completed; prints what it had to change."""
    data = read_annotation_file(path, FIELDS, pack=True)
    check_images(path, data["images"])
    check_names(path, data["categories"])
    images = {image["id"]: image for image in data["images"]}
    kept, dropped, changes = [], [], Counter()
    for annotation in data["annotations"]:
        usable = clip_box(annotation, images[annotation["image_id"]], changes)
        (kept if usable else dropped).append(annotation)
    for annotation in kept:
        complete_annotation(annotation, images[annotation["image_id"]], changes)
    complete_images(path, data["images"], data["categories"], kept, dropped)
    for change, count in changes.items():
        print(f"{split}: {count} of {len(data['annotations'])} {change}")
    return {"images": data["images"], "annotations": kept, "categories": data["categories"]}


def check_images(path, images):
    for image in images:
        for name in ("width", "height"):
            if type(image[name]) is not int or image[name] < 1:
                raise ValueError(f"{path}: image {image['id']} has the {name} {image[name]!r}")
    for name in FEDERATED:
        without = [image["id"] for image in images if not isinstance(image.get(name), list)]
        if without and len(without) < len(images):
            raise ValueError(
                f"{path}: {len(without)} of {len(images)} images have no list {name!r}, the first "
                f"is image {without[0]}; all must have it (LVIS) or none (COCO)"
            )


def check_names(path, categories):
    seen = {}
    for category in categories:
        name = category["name"]
        if not isinstance(name, str) or not name:
            raise ValueError(f"{path}: category {category['id']} has the name {name!r}")
        if name in seen:
            raise ValueError(
                f"{path}: the categories {seen[name]} and {category['id']} are both named "
                f"{name!r}; rename one"
            )
        seen[name] = category["id"]


def clip_box(annotation, image, changes):
    """Cut the box to the image; False where nothing is left of it or it is a crowd."""
    if annotation.get("iscrowd"):
        changes["annotations are crowds: left out, their category is not exhaustive there"] += 1
        return False
    x, y, width, height = annotation["bbox"]
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + width, image["width"]), min(y + height, image["height"])
    if right <= left or bottom <= top:
        changes["boxes are empty: left out, their category is not exhaustive there"] += 1
        return False
    if max(left - x, top - y, x + width - right, y + height - bottom) > ROUNDING:
        changes["boxes reach out of their image: clipped"] += 1
        annotation["bbox"] = [left, top, right - left, bottom - top]
    return True


def complete_annotation(annotation, image, changes):
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, list):
        segmentation = [part for part in segmentation if is_polygon(part)]
    if not segmentation:
        x, y, width, height = annotation["bbox"]
        right, bottom = x + width, y + height
        annotation.setdefault("area", width * height)
        segmentation = [[x, y, right, y, right, bottom, x, bottom]]
        changes["annotations have no mask: the box stands in"] += 1
    annotation["segmentation"] = segmentation
    if "area" not in annotation:
        annotation["area"] = mask_area(segmentation, image)
    annotation["iscrowd"] = 0


def is_polygon(part):
    return isinstance(part, list | array) and len(part) >= 6 and len(part) % 2 == 0


def mask_area(segmentation, image):
    from hotcoco import mask

    if not isinstance(segmentation, list):
        return float(mask.area(mask.frPyObjects(segmentation, image["height"], image["width"])))
    polygons = [list(polygon) for polygon in segmentation]
    return float(mask.area(mask.merge(mask.frPyObjects(polygons, image["height"], image["width"]))))


def complete_images(path, images, categories, kept, dropped):
    """Add the federated lists: which categories are verified absent, which are half annotated."""
    present, unsure = defaultdict(set), defaultdict(set)
    for annotation in kept:
        present[annotation["image_id"]].add(annotation["category_id"])
    for annotation in dropped:
        unsure[annotation["image_id"]].add(annotation["category_id"])
    everything = {category["id"] for category in categories}
    for image in images:
        here, doubtful = present[image["id"]], unsure[image["id"]]
        negative = image.get("neg_category_ids")
        if negative is None:
            negative = sorted(everything - here)
        image["neg_category_ids"] = [c for c in negative if c not in doubtful]
        listed = image.get("not_exhaustive_category_ids") or []
        image["not_exhaustive_category_ids"] = [*listed, *sorted(doubtful - set(listed))]


def complete_categories(train: dict, val: dict) -> list[dict]:
    """The categories of both splits with frequency and the counts of the training images.

    ``ValueError`` that names a category where the two splits do not have the same ids and names.
    """
    check_same_categories(train["categories"], val["categories"])
    pairs = {(a["category_id"], a["image_id"]) for a in train["annotations"]}
    image_count = Counter(category for category, _ in pairs)
    instance_count = Counter(a["category_id"] for a in train["annotations"])
    given = all(c.get("frequency") in ("r", "c", "f") for c in train["categories"])
    unseen = [c["name"] for c in train["categories"] if not image_count[c["id"]]]
    if unseen:
        print(f"train: {len(unseen)} categories are in no image; the first: {unseen[0]}")
    return [
        {
            **category,
            "frequency": category["frequency"] if given else frequency(image_count[category["id"]]),
            "image_count": image_count[category["id"]],
            "instance_count": instance_count[category["id"]],
        }
        for category in sorted(train["categories"], key=lambda category: category["id"])
    ]


def check_same_categories(train, val):
    both = [{category["id"]: category["name"] for category in split} for split in (train, val)]
    for split, mine, other in (("train", *both), ("val", *reversed(both))):
        for identifier, name in mine.items():
            if identifier not in other:
                raise ValueError(
                    f"train and val must have the same categories; {identifier} {name!r} is only "
                    f"in {split}"
                )
            if other[identifier] != name:
                raise ValueError(
                    f"train and val must have the same categories; {identifier} is "
                    f"{both[0][identifier]!r} in train and {both[1][identifier]!r} in val"
                )
