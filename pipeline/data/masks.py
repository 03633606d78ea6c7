"""The ``segmentation`` of an annotation: polygons or an RLE, read or refused by its id."""

from array import array
from pathlib import Path

import numpy as np

from pipeline.data import rle
from pipeline.data.fields import FARTHEST, is_pixel
from pipeline.messages import shown

POLYGON = "it must be polygons of pixels [x1, y1, x2, y2, x3, y3, ...], finite numbers, or an RLE"


def read_mask(path: str | Path, annotation: dict, size: list[int]) -> list | dict | None:
    """A list of polygons, an RLE of the image's ``size`` [height, width], or None: there is none.

    A flat list of numbers is one polygon. ``ValueError`` names the annotation and what is wrong.
    """
    found = annotation.get("segmentation")
    if found is None or found in ([], {}):
        return None
    try:
        if isinstance(found, dict):
            rle.read_runs(found, size)
            return {"size": size, "counts": found["counts"]}
        return read_polygons(found)
    except ValueError as error:
        raise ValueError(
            f"{path}: the segmentation of annotation {annotation['id']} {error}"
        ) from None


def is_flat(found) -> bool:
    """Whether this is one polygon where a list of polygons belongs."""
    return isinstance(found, list) and bool(found) and not isinstance(found[0], list | array)


def read_polygons(found):
    if not isinstance(found, list):
        raise ValueError(f"is {shown(found)}; {POLYGON}")
    polygons = [found] if is_flat(found) else found
    for polygon in polygons:
        if not is_polygon(polygon):
            raise ValueError(f"has the polygon {shown(polygon)}; {POLYGON}")
    return polygons


def is_polygon(polygon):
    """Whether it is pairs of pixels; one of fewer than three corners is, too."""
    if isinstance(polygon, array):
        return len(polygon) % 2 == 0 and bool((np.abs(np.frombuffer(polygon)) < FARTHEST).all())
    return isinstance(polygon, list) and len(polygon) % 2 == 0 and all(map(is_pixel, polygon))


def bounds(mask: list | dict, size: list[int]) -> tuple[float, float, float, float] | None:
    """The box around a mask as x0, y0, x1, y1 in pixels; None around an empty one."""
    if isinstance(mask, dict):
        return rle.bounds(rle.read_runs(mask, size), size[0])
    points = np.concatenate([np.asarray(polygon, float) for polygon in mask]).reshape(-1, 2)
    return (*points.min(axis=0).tolist(), *points.max(axis=0).tolist())


def area(mask: list | dict, size: list[int]) -> float:
    """In pixels."""
    if isinstance(mask, dict):
        return float(rle.area(rle.read_runs(mask, size)))
    from hotcoco import mask as coco

    polygons = [list(polygon) for polygon in mask]
    return float(coco.area(coco.merge(coco.frPyObjects(polygons, *size))))


def runs(mask: list | dict, size: list[int]) -> np.ndarray:
    """The runs [R] of a mask in an image of ``size`` [height, width], as pycocotools draws it."""
    if isinstance(mask, dict):
        return rle.read_runs(mask, size)
    from pycocotools import mask as coco

    drawn = coco.merge(coco.frPyObjects(mask, *size))
    return rle.decompressed(drawn["counts"].decode())
