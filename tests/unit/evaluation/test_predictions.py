"""Prediction files: every wrong value is named with its row; masks fill their images."""

import json
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from pipeline.evaluation.mask_sizes import DAMAGED, pixels_of
from pipeline.evaluation.predictions import read_predictions

GOOD = {"image_id": 7, "category_id": 3, "score": 0.5, "bbox": [1, 2, 3, 4]}
WHOLE = coco.encode(np.ones((8, 6), np.uint8, "F"))["counts"].decode()
TRUTH = SimpleNamespace(
    path="annotations.json",
    images=[{"id": 7, "height": 8, "width": 6}],
    image_ids=np.array([7]),
    category_ids=np.array([3]),
)


def read_json(tmp_path, change):
    path = tmp_path / "results.json"
    path.write_text(json.dumps([GOOD, {**GOOD, **change}]))
    return read_predictions(path, TRUTH)


def read_parquet(tmp_path, columns, iou_type="bbox"):
    path = tmp_path / "predictions.parquet"
    good = {"image_id": [7], "category_id": [3], "score": [0.5], "rle": [WHOLE]}
    pq.write_table(pa.table({**good, **{name: [1.0] for name in "xywh"}, **columns}), path)
    return read_predictions(path, TRUTH, iou_type)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"score": True}, "detection 1 has the score True; it must be a finite number"),
        ({"score": "0.5"}, "detection 1 has the score '0.5'"),
        ({"score": 10**400}, "detection 1 has the score 1000"),
        ({"image_id": 7.0}, "detection 1 has the image_id 7.0; it must be a whole number"),
        ({"image_id": 2**63}, "detection 1 has the image_id 9223372036854775808"),
        ({"image_id": [[7]]}, "detection 1 has the image_id"),
        ({"image_id": 8}, "image_id that annotations.json does not know; the first is 8 in row 1"),
        ({"bbox": [1, 2, 3, True]}, "detection 1 has the bbox"),
        ({"bbox": [1, 2, 3, 1e200]}, r"detection 1 has the bbox \[1, 2, 3, 1e\+200\]"),
    ],
)
def test_a_wrong_value_of_a_result_is_named_with_its_row(tmp_path, change, words):
    with pytest.raises(ValueError, match=words) as caught:
        read_json(tmp_path, change)
    assert "results.json" in str(caught.value) and str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (pa.array(["0.5"]), "column score has no numbers, but string"),
        (pa.array([True]), "column score has no numbers, but bool"),
        (pa.array([1], pa.timestamp("s")), "column score has no numbers, but timestamp"),
        (pa.array([[0.5]]), "column score has no numbers, but list"),
        (pa.array(["0.5"]).dictionary_encode(), "column score has no numbers, but string"),
        (pa.array([None], pa.float64()), "1 rows have no score"),
    ],
)
def test_a_column_that_is_no_numbers_is_refused(tmp_path, kind, words):
    with pytest.raises(ValueError, match=words):
        read_parquet(tmp_path, {"score": kind})


def test_numbers_of_other_types_are_numbers(tmp_path):
    ids = pa.array([7], pa.uint64())
    for image_id in (ids, ids.dictionary_encode(), ids.cast(pa.decimal128(20, 0))):
        assert read_parquet(tmp_path, {"image_id": image_id}).image.tolist() == [0]
    with pytest.raises(ValueError, match=r"column image_id must be whole numbers below 2\^63"):
        read_parquet(tmp_path, {"image_id": pa.array([2**63], pa.uint64())})


def test_a_column_that_is_there_twice_is_named(tmp_path):
    path = tmp_path / "predictions.parquet"
    names = ["image_id", "category_id", "score", *"xywh", "score"]
    pq.write_table(pa.table([pa.array([1])] * len(names), names=names), path)
    with pytest.raises(ValueError, match="has the column score 2 times"):
        read_predictions(path, TRUTH)


def test_a_folder_in_place_of_the_file_is_named(tmp_path):
    (tmp_path / "p.parquet").mkdir()
    with pytest.raises(ValueError, match="is a folder or a pipe"):
        read_predictions(tmp_path / "p.parquet", TRUTH)


@pytest.mark.parametrize(
    ("rle", "words"),
    [
        (coco.encode(np.ones((8, 7), np.uint8, "F"))["counts"], "0 is of 56 pixels, .* has 8 x 6"),
        ("", "detection 0 is no compressed RLE"),
        ("PPd", "detection 0 is no compressed RLE"),
        ("o" * 30 + "1", "detection 0 is no compressed RLE"),
        (7, "column rle has no texts, but int64"),
        (b"\xff\xfe", "column rle has no texts"),
    ],
)
def test_a_mask_that_does_not_fill_its_image_is_named(tmp_path, rle, words):
    with pytest.raises(ValueError, match=words):
        read_parquet(tmp_path, {"rle": [rle]}, "segm")


@pytest.mark.parametrize("rle", [WHOLE, WHOLE.encode()])
def test_a_mask_may_be_a_text_or_bytes(tmp_path, rle):
    assert read_parquet(tmp_path, {"rle": [rle]}, "segm").masks.to_pylist() == [WHOLE]


@pytest.mark.parametrize("mask", [[[1, 2, 3, 4, 5, 6]], {"size": [8, 6], "counts": [48]}, None])
def test_a_result_with_another_kind_of_mask_is_named(tmp_path, mask):
    path = tmp_path / "results.json"
    path.write_text(json.dumps([{**GOOD, "segmentation": mask}]))
    with pytest.raises(ValueError, match=r"detection 0 has the segmentation .* a compressed RLE"):
        read_predictions(path, TRUTH, "segm")


@given(st.lists(st.lists(st.integers(0, 10**6), min_size=1, max_size=9), max_size=9), st.booleans())
@settings(max_examples=200, deadline=None)
def test_pixels_are_the_sum_of_the_runs(masks, damaged):
    texts = [written(runs) for runs in masks] + ["\u00fc"] * damaged
    texts = pa.chunked_array([texts], pa.large_string())
    assert pixels_of(texts).tolist() == [*map(sum, masks)] + [DAMAGED] * damaged


def written(runs):
    """COCO's characters, of each run or its difference to the one two before, five bits a time."""
    text = ""
    for place, run in enumerate(runs):
        value = run - runs[place - 2] if place > 2 else run
        more = True
        while more:
            code, value = value & 31, value >> 5
            more = value != (-1 if code & 16 else 0)
            text += chr(48 + code + 32 * more)
    return text
