"""Run lengths are those of pycocotools, and what does not fill the image is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from pipeline.data import rle


def runs_of(mask):
    flat = mask.T.ravel()
    borders = np.flatnonzero(np.diff(flat, prepend=0, append=flat[-1] ^ 1))
    return np.diff(borders, prepend=0)


@st.composite
def bitmaps(draw):
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return (rng.random((height, width)) < draw(st.sampled_from([0, 0.02, 0.5, 1]))).astype(np.uint8)


@given(bitmaps())
@settings(deadline=None)
def test_both_forms_are_read_as_the_bitmap(mask):
    size = list(mask.shape)
    text = coco.encode(np.asfortranarray(mask))["counts"].decode()
    listed = runs_of(mask).tolist()
    rows, columns = np.nonzero(mask)
    box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) if len(rows) else None
    for counts in (text, listed):
        runs = rle.read_runs({"size": size, "counts": counts}, size)
        assert rle.area(runs) == mask.sum()
        assert rle.bounds(runs, size[0]) == box


@given(bitmaps())
@settings(deadline=None)
def test_a_mask_is_its_box_and_the_runs_within(mask):
    box, runs = rle.cropped(runs_of(mask), mask.shape[0])
    left, top, right, bottom = box
    assert (rle.decoded(runs, bottom - top, right - left) == mask[top:bottom, left:right]).all()
    assert runs.sum() == (right - left) * (bottom - top)
    assert mask.sum() == mask[top:bottom, left:right].sum()
    assert box == (rle.bounds(runs_of(mask), mask.shape[0]) or (0, 0, 0, 0))


def test_runs_of_no_pixel_may_lie_outside_of_the_box():
    runs = np.array([1, 1, 7, 0, 2, 1, 18])  # two pixels of the second row, none of the last
    assert rle.cropped(runs, 10)[0] == (0, 1, 2, 2)
    assert rle.decoded(rle.cropped(runs, 10)[1], 1, 2).tolist() == [[1, 1]]


@given(bitmaps())
@settings(deadline=None)
def test_what_is_encoded_is_decoded(mask):
    runs = rle.encoded(mask)
    assert runs.tolist() == runs_of(mask).tolist()
    assert (rle.decoded(runs, *mask.shape) == mask).all()


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ({"size": [4, 3], "counts": [12]}, r"size \[4, 3\], but its image has \[3, 4\]"),
        ({"counts": [12]}, "size None"),
        ({"size": [3, 4]}, "neither a text nor a list"),
        ({"size": [3, 4], "counts": [6, 6.0]}, "neither a text nor a list"),
        ({"size": [3, 4], "counts": [6, 7]}, "do not fill its image of 3 x 4 pixels"),
        ({"size": [3, 4], "counts": [13, -1]}, "do not fill"),
        ({"size": [3, 4], "counts": [10**30]}, "do not fill"),
        ({"size": [3, 4], "counts": []}, "do not fill"),
        ({"size": [3, 4], "counts": ""}, "do not fill"),
        ({"size": [3, 4], "counts": "5"}, "do not fill"),
        ({"size": [3, 4], "counts": "5 5"}, "damaged"),
        ({"size": [3, 4], "counts": "é"}, "do not fill|damaged"),
        ({"size": [3, 4], "counts": "o"}, "damaged"),
        ({"size": [3, 4], "counts": "o" * 30 + "1"}, "damaged"),
    ],
)
def test_what_is_no_mask_of_the_image_says_why(mask, message):
    with pytest.raises(ValueError, match=message):
        rle.read_runs(mask, [3, 4])
