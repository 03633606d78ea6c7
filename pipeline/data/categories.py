"""``categories.csv``: one row a category, with the counts of the training images.

Columns: id, name, frequency (r/c/f), image_count, instance_count; UTF-8, ascending ids.
"""

import csv
import io
from pathlib import Path

from pipeline.files import write_text

COLUMNS = ("id", "name", "frequency", "image_count", "instance_count")
RARE_LIMIT, COMMON_LIMIT = 10, 100


def frequency(image_count: int) -> str:
    """LVIS's rule on training images: r for 1-10, c for 11-100, f for more than 100.

    LVIS itself has no category without training images. One that is in the file but in no
    training image (a COCO subset, say) counts as rare: nothing was learned of it, and leaving it
    out of APr would hide that.
    """
    if image_count <= RARE_LIMIT:
        return "r"
    return "c" if image_count <= COMMON_LIMIT else "f"


def write_categories(path: str | Path, categories: list[dict]) -> None:
    """Write LVIS-format categories as CSV; other keys of a category are left out."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(sorted(categories, key=lambda category: category["id"]))
    write_text(path, text.getvalue())


def read_categories(path: str | Path) -> list[dict]:
    """The rows of a ``categories.csv`` with whole numbers as ``int``."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
            if missing:
                raise ValueError(f"{path} has no column {missing[0]!r}; run the stage `prepare`")
            return [parse_row(row, path) for row in reader]
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist; run the stage `prepare`") from None


def parse_row(row, path):
    try:
        numbers = {key: int(row[key]) for key in ("id", "image_count", "instance_count")}
    except (TypeError, ValueError):
        raise ValueError(f"{path} has a row with no whole number in it: {dict(row)}") from None
    return {**row, **numbers}


def first_difference(trained, wanted):
    for label, (one, other) in enumerate(zip(trained, wanted, strict=False)):
        if one != other:
            return f" (label {label} is {one!r} there, {other!r} here)"
    return ""
