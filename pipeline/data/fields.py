"""What every field of an annotation file may be: one table, for `prepare` and for evaluation.

A field that is wrong is refused, with its file, its item and what it has to be. ``null`` stands for
a field that is not there. Masks are read by ``pipeline.data.masks``, which knows the image's size.
"""

import math
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.messages import shown

SECTIONS = ("images", "annotations", "categories")
SINGULAR = {"images": "image", "annotations": "annotation", "categories": "category"}
FEDERATED = ("neg_category_ids", "not_exhaustive_category_ids")
UNPRINTABLE = ("Cc", "Cs")  # Unicode's categories of control characters and of surrogates
ID_LIMIT = 2**63  # the index and the predictions keep ids as int64
FARTHEST = 1e6  # pixels: no image is larger, and no corner is farther away


@dataclass(frozen=True)
class Rule:
    """``holds`` of a value that is right; ``wanted`` ends the message about another one."""

    holds: Callable[[Any], bool]
    wanted: str


def is_whole(value: Any) -> bool:
    return type(value) is int and -ID_LIMIT <= value < ID_LIMIT


def is_finite(value: Any) -> bool:
    """Whether this is a number that a float can hold; a truth value is none."""
    try:
        return type(value) in (int, float) and math.isfinite(value)
    except OverflowError:  # a whole number of hundreds of digits
        return False


def is_pixel(value: Any) -> bool:
    return is_finite(value) and abs(value) < FARTHEST


def is_box(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 4 and all(map(is_pixel, value))


def is_text(value: Any) -> bool:
    """Whether it can be written and shown: no half of a surrogate pair, nothing that controls."""
    return isinstance(value, str) and not any(unicodedata.category(c) in UNPRINTABLE for c in value)


def is_name(value: Any) -> bool:
    return is_text(value) and bool(value.strip())


def is_flag(value: Any) -> bool:
    return type(value) in (bool, int, float) and value in (0, 1)


WHOLE = Rule(is_whole, "it must be a whole number below 2^63, without quotes or a decimal point")
TEXT = Rule(is_text, "it must be a text of printable characters")
FLAG = Rule(is_flag, "it must be 0 or 1")
IDS = Rule(
    lambda value: isinstance(value, list) and all(map(is_whole, value)),
    "it must be a flat list of category ids, which are whole numbers",
)
PIXELS = Rule(
    lambda value: is_whole(value) and 1 <= value < FARTHEST,
    "it must be a whole number of pixels from 1 to a million, without quotes or a decimal point",
)

RULES = {
    "images": {
        "id": WHOLE,
        "width": PIXELS,
        "height": PIXELS,
        "file_name": TEXT,
        "coco_url": TEXT,
        **dict.fromkeys(FEDERATED, IDS),
    },
    "annotations": {
        "id": WHOLE,
        "image_id": WHOLE,
        "category_id": WHOLE,
        "bbox": Rule(is_box, "it must be four finite numbers [x, y, width, height], in pixels"),
        "area": Rule(
            lambda value: type(value) in (int, float),
            "it must be a number of square pixels; without the field it is computed",
        ),
        "iscrowd": FLAG,
        "ignore": FLAG,
    },
    "categories": {
        "id": WHOLE,
        "name": Rule(is_name, TEXT.wanted),
    },
}


def check_fields(
    path: str | Path, section: str, items: list, required: tuple, optional: tuple, remedy: str
) -> None:
    """``ValueError`` for the first item that is no mapping, lacks a field or has a wrong one."""
    for position, item in enumerate(items):
        if not isinstance(item, dict):
            raise ValueError(
                f"{path}: {section}[{position}] is {shown(item)}; it must be a mapping of fields "
                "to values"
            )
    for name in required:
        missing = (k for k, item in enumerate(items) if name not in item)
        if (position := next(missing, None)) is not None:
            place = label(section, items[position], position)
            raise ValueError(f"{path}: {place} has no {name!r}{remedy}")
    for name in (*required, *optional):
        if rule := RULES[section].get(name):
            check_field(path, section, items, name, rule, name in required)


def check_field(path, section, items, name, rule, required):
    for position, item in enumerate(items):
        value = item.get(name)
        if not (rule.holds(value) or (value is None and not required)):
            place = label(section, item, position)
            raise ValueError(refusal(path, place, name, value, rule.wanted))


def refusal(path: str | Path, place: str, name: str, value: Any, wanted: str) -> str:
    return f"{path}: {place} has the {name} {shown(value)}; {wanted}"


def label(section: str, item: dict, position: int) -> str:
    """Such as "annotation 12"; without a usable id the position in the file: "annotations[3]"."""
    known = is_whole(item.get("id"))
    return f"{SINGULAR[section]} {item['id']}" if known else f"{section}[{position}]"
