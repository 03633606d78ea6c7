"""Reading and writing annotation files: the structure that COCO and LVIS share, checked once."""

import json
import math
from array import array
from pathlib import Path

from pipeline.files import atomic_path, read_json

SECTIONS = ("images", "annotations", "categories")
ID_FIELDS = ("id", "image_id", "category_id")


def read_annotation_file(
    path: str | Path, fields: dict[str, tuple], remedy: str = "", pack: bool = False
) -> dict:
    """The parsed file: a dict of lists ``images``, ``annotations``, ``categories``.

    ``fields`` names what every item of a section must carry. Any breach is a ``ValueError`` that
    names the file, the item and the field, followed by ``remedy``: not JSON, a section or field
    missing, an id that is no whole number or occurs twice, an annotation of an unknown image or
    category, a box that is not four finite numbers.

    ``pack`` keeps the polygons as arrays of doubles: a quarter of the memory of lists, of which
    LVIS v1's train file needs more than 5 GB. ``write_annotation_file`` takes both.
    """
    data = read_json(path, pack_polygons if pack else None)
    for section in SECTIONS:
        if not isinstance(data, dict) or not isinstance(data.get(section), list):
            raise ValueError(
                f"{path} is not a COCO or LVIS annotation file: it has no list {section!r}"
            )
    for section in SECTIONS:
        check_fields(path, section, data[section], fields[section], remedy)
        check_unique(path, section, data[section])
    check_references(path, data)
    check_boxes(path, data["annotations"])
    return data


def pack_polygons(item):
    """Called for every mapping while the file is being parsed, so the lists never pile up."""
    if isinstance(item.get("segmentation"), list):
        item["segmentation"] = [packed(polygon) for polygon in item["segmentation"]]
    return item


def packed(polygon):
    """Floats only, so that what is written has the same digits as what was read."""
    floats = isinstance(polygon, list) and set(map(type, polygon)) == {float}
    return array("d", polygon) if floats else polygon


def check_fields(path, section, items, fields, remedy):
    for position, item in enumerate(items):
        if not isinstance(item, dict):
            raise ValueError(f"{path}: {section}[{position}] is not a mapping of fields to values")
        for name in fields:
            if name not in item:
                place = label(section, position, item)
                raise ValueError(f"{path}: {place} has no {name!r}{remedy}")
            if name in ID_FIELDS and type(item[name]) is not int:
                raise ValueError(
                    f"{path}: {section}[{position}] has the {name} {item[name]!r}; "
                    "it must be a whole number"
                )


def label(section, position, item):
    return f"{section}[{position}]" + (f" (id {item['id']})" if "id" in item else "")


def check_unique(path, section, items):
    seen = set()
    for item in items:
        if item["id"] in seen:
            raise ValueError(f"{path}: the id {item['id']} occurs twice under {section}")
        seen.add(item["id"])


def check_references(path, data):
    for section, field in (("images", "image_id"), ("categories", "category_id")):
        known = {item["id"] for item in data[section]}
        unknown = [a for a in data["annotations"] if a[field] not in known]
        if unknown:
            raise ValueError(
                f"{path}: {len(unknown)} annotations have a {field} that is not under {section}; "
                f"the first: annotation {unknown[0]['id']} with {field} {unknown[0][field]}"
            )


def check_boxes(path, annotations):
    for item in annotations:
        if not is_box(item["bbox"]):
            raise ValueError(
                f"{path}: annotation {item['id']} has the bbox {item['bbox']!r}; "
                "it must be four finite numbers [x, y, width, height]"
            )


def is_box(value):
    try:
        return len(value) == 4 and all(map(math.isfinite, value))
    except TypeError:
        return False


def write_annotation_file(path: str | Path, data: dict) -> None:
    """Write the three sections, one item a line; the whole text is never in memory."""
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        for number, section in enumerate(SECTIONS):
            file.write(("{" if number == 0 else ",\n") + f'"{section}": [')
            for position, item in enumerate(data[section]):
                text = json.dumps(item, ensure_ascii=False, separators=(",", ":"), default=list)
                file.write((",\n" if position else "\n") + text)
            file.write("\n]")
        file.write("}\n")
