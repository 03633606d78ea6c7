"""Reading and writing annotation files: the structure that COCO and LVIS share, checked once."""

import json
from array import array
from pathlib import Path

from pipeline.data.fields import SECTIONS, check_fields
from pipeline.files import atomic_path, read_json
from pipeline.messages import shown


def read_annotation_file(
    path: str | Path,
    required: dict[str, tuple],
    optional: dict[str, tuple],
    remedy: str = "",
    pack: bool = False,
) -> dict:
    """The parsed file: a dict of lists ``images``, ``annotations``, ``categories``.

    ``required`` and ``optional`` name the fields of a section's items that the caller reads; what
    they may be stands in ``pipeline.data.fields``. Any breach is a ``ValueError`` that names the
    file, the item and the field (and, for one that is missing, ``remedy``): not JSON, a section or
    field missing or wrong, an id that occurs twice, an annotation of an unknown image or category.

    ``pack`` keeps the polygons as arrays of doubles: a quarter of the memory of lists, of which
    LVIS v1's train file needs more than 5 GB. ``write_annotation_file`` takes both.
    """
    data = read_json(path, packed_mapping if pack else mapping)
    for section in SECTIONS:
        if not isinstance(data, dict) or not isinstance(data.get(section), list):
            raise ValueError(
                f"{path} is not a COCO or LVIS annotation file: it has no list {section!r}"
            )
    for section in SECTIONS:
        fields = required[section], optional.get(section, ())
        check_fields(path, section, data[section], *fields, remedy)
        check_unique(path, section, data[section])
    check_references(path, data)
    return data


def mapping(pairs: list[tuple]) -> dict:
    """A mapping of the file; JSON itself would take the last of two values silently."""
    item = dict(pairs)
    if len(item) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in item if keys.count(key) > 1)
        shown_item = f"the mapping with the id {shown(item['id'])}" if "id" in item else "a mapping"
        raise ValueError(f"{shown_item} has the key {shown(twice)} twice; remove one")
    return item


def packed_mapping(pairs: list[tuple]) -> dict:
    """Called for every mapping while the file is being parsed, so the lists never pile up."""
    item = mapping(pairs)
    if isinstance(item.get("segmentation"), list):
        item["segmentation"] = [packed(polygon) for polygon in item["segmentation"]]
    return item


def packed(polygon):
    """Floats only, so that what is written has the same digits as what was read."""
    floats = isinstance(polygon, list) and set(map(type, polygon)) == {float}
    return array("d", polygon) if floats else polygon


def check_unique(path, section, items):
    seen = set()
    for item in items:
        if item["id"] in seen:
            raise ValueError(
                f"{path}: the id {item['id']} occurs twice under {section}; give each its own"
            )
        seen.add(item["id"])


def check_references(path, data):
    for section, field in (("images", "image_id"), ("categories", "category_id")):
        known = {item["id"] for item in data[section]}
        unknown = [a for a in data["annotations"] if a[field] not in known]
        if unknown:
            raise ValueError(
                f"{path}: {len(unknown)} annotations have a {field} that is not under {section}; "
                f"the first: annotation {unknown[0]['id']} with {field} {unknown[0][field]}; "
                f"add what is missing under {section}, or remove these annotations"
            )


def write_annotation_file(path: str | Path, data: dict) -> None:
    """Write the three sections, one item a line; the whole text is never in memory."""
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        for number, section in enumerate(SECTIONS):
            file.write(("{" if number == 0 else ",\n") + f'"{section}": [')
            for position, item in enumerate(data[section]):
                text = json.dumps(
                    item, ensure_ascii=False, separators=(",", ":"), default=list, allow_nan=False
                )
                file.write((",\n" if position else "\n") + text)
            file.write("\n]")
        file.write("}\n")
