"""Outlines of masks for the gallery: run-length masks -> polygons in pixels of the image."""

import cv2
import numpy as np
from hotcoco import mask as rle

Outline = tuple[np.ndarray, ...]
TOLERANCE = 0.002  # of the image's longer side: how far an outline may leave out a corner


def compressed(counts: str, image: dict) -> dict:
    """A mask of the predictions: the counts of compressed RLE, in the size of the image."""
    return {"size": [image["height"], image["width"]], "counts": counts}


def whole_mask(segmentation, image: dict) -> dict:
    """A mask of the annotations: a list of polygons or RLE, compressed or not."""
    runs = rle.frPyObjects(segmentation, image["height"], image["width"])
    return rle.merge(runs) if isinstance(segmentation, list) else runs


def outline(mask: dict) -> Outline:
    """Polygons [P, 2] around the parts and the holes of a mask, through the pixels' centres."""
    pixels = np.ascontiguousarray(rle.decode(mask))
    lines, _ = cv2.findContours(pixels, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    tolerance = TOLERANCE * max(pixels.shape)
    return tuple(cv2.approxPolyDP(line, tolerance, True)[:, 0] + 0.5 for line in lines)
