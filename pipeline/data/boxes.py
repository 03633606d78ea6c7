"""Boxes: the unit that a whole file uses is recognised, and each one is cut to its image."""

from pathlib import Path

import numpy as np

ROUNDING = 1e-3  # pixels that a box may reach out of its image and stay as it is
SHARE = 0.5  # of a file's boxes, from which on they are no accident


def check_unit(path: str | Path, annotations: list[dict], images: dict[int, dict]) -> None:
    """``ValueError`` where the boxes are relative to the image, or given as two corners.

    LVIS and COCO have [x, y, width, height] in pixels. Relative boxes lie in the first pixel of
    their image. Corners read as sizes reach out of it, where as corners they would fit.
    """
    boxes = np.array([a["bbox"] for a in annotations], float).reshape(-1, 4)
    sizes = np.array(
        [(images[a["image_id"]]["width"], images[a["image_id"]]["height"]) for a in annotations]
    ).reshape(-1, 2)
    if not len(boxes):
        return
    relative = (boxes >= 0).all(1) & (boxes <= 1).all(1) & (sizes > 1).all(1)
    if relative.mean() > SHARE:
        raise ValueError(
            f"{path}: {relative.sum()} of {len(boxes)} boxes lie between 0 and 1, as if relative "
            f"to the image (the first: annotation {first(annotations, relative)}); multiply x and "
            "width by the image's width, y and height by its height"
        )
    outside = (boxes[:, :2] + boxes[:, 2:] > sizes + 1).any(1)
    corners = (boxes[:, 2:] > boxes[:, :2]).all(1) & (boxes[:, 2:] <= sizes + 1).all(1)
    if outside.mean() > SHARE / 2 and corners.mean() > 0.95:
        raise ValueError(
            f"{path}: {outside.sum()} of {len(boxes)} boxes reach out of their image, and would "
            "fit as corners [x1, y1, x2, y2]; write them as [x1, y1, x2 - x1, y2 - y1]; the first: "
            f"annotation {first(annotations, outside)}"
        )


def first(annotations, chosen) -> int:
    return annotations[int(np.argmax(chosen))]["id"]


def clipped(box: list, image: dict) -> list | None:
    """The part of ``box`` inside of ``image``, as it is up to rounding; None where none is left."""
    x, y, width, height = box
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + width, image["width"]), min(y + height, image["height"])
    if right <= left or bottom <= top:
        return None
    if max(left - x, top - y, x + width - right, y + height - bottom) > ROUNDING:
        return [left, top, right - left, bottom - top]
    return box


def touches(box: list, bounds: tuple) -> bool:
    """Whether [x, y, width, height] and x0, y0, x1, y1 meet."""
    x, y, width, height = box
    x0, y0, x1, y1 = bounds
    return x <= x1 and x0 <= x + width and y <= y1 and y0 <= y + height


def polygon(box: list) -> list[list[float]]:
    """The box as a mask."""
    x, y, width, height = box
    right, bottom = x + width, y + height
    return [[x, y, right, y, right, bottom, x, bottom]]
