"""Outlines of masks."""

import numpy as np
import pytest
from hotcoco import mask as rle

from pipeline.reporting import outlines, panels


def filled(outline, shape):
    """The pixels inside of an outline; svg's evenodd rule."""
    import cv2

    canvas = np.zeros(shape, np.uint8)
    cv2.fillPoly(canvas, [np.floor(line).astype(np.int32) for line in outline], 1)
    return canvas


@pytest.mark.parametrize("kind", ["compressed", "uncompressed", "polygons"])
def test_outline_follows_the_parts_of_a_mask(kind):
    image = {"height": 60, "width": 80}
    pixels = np.zeros((60, 80), np.uint8)
    pixels[5:25, 10:40] = 1
    pixels[40:58, 60:79] = 1
    squares = [[10, 5, 40, 5, 40, 25, 10, 25], [60, 40, 79, 40, 79, 58, 60, 58]]
    columns = pixels.T.ravel()
    edges = np.flatnonzero(np.diff(columns)) + 1
    mask = {
        "compressed": rle.encode(np.asfortranarray(pixels)),
        "uncompressed": {
            "size": [60, 80], "counts": np.diff(edges, prepend=0, append=len(columns)).tolist(),
        },
        "polygons": squares,
    }[kind]  # fmt: skip
    outline = outlines.outline(outlines.whole_mask(mask, image))
    assert (filled(outline, pixels.shape) == pixels).all()
    assert sum(map(len, outline)) == 8


def test_outline_of_a_ring_has_its_hole_and_of_nothing_is_nothing():
    pixels = np.zeros((60, 80), np.uint8)
    pixels[5:55, 10:70] = 1
    pixels[20:40, 30:50] = 0
    outline = outlines.outline(rle.encode(np.asfortranarray(pixels)))
    assert len(outline) == 2
    hole = min(outline, key=lambda line: np.ptp(line[:, 0]))
    assert np.abs([*hole.min(0), *hole.max(0)] - np.array([30, 20, 50, 40])).max() <= 1
    assert outlines.outline(rle.encode(np.asfortranarray(pixels * 0))) == ()


def test_svg_path_is_in_units_of_the_panel():
    outline = (np.array([[0.5, 0.5], [10.5, 0.5], [10.5, 20.5]]),)
    assert panels.svg_path(outline, 2) == "M1.0,1.0 21.0,1.0 21.0,41.0Z"
    assert panels.svg_path((), 2) == ""
