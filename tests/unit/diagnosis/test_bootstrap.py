"""The bootstrap equals an evaluation of the data set with its images really copied."""

import json

import numpy as np
import pandas as pd
import pytest
from hotcoco import mask
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.diagnosis.bootstrap import (
    RECALL_THRESHOLDS,
    average_precision,
    defined_mean,
    image_weights,
    replicates,
)
from pipeline.diagnosis.matches import assign, match
from pipeline.diagnosis.weighted_ap import counts_to_reach
from pipeline.evaluation.evaluate import evaluate_files
from pipeline.evaluation.predictions import read_predictions
from pipeline.evaluation.truth import read_truth

COLUMNS = ["image_id", "category_id", "x", "y", "w", "h", "score"]
side = st.integers(0, 30)
box = st.tuples(st.integers(0, 30), st.integers(0, 30), side, side).map(list)


@st.composite
def datasets(draw, distinct_scores=False):
    """(annotations, rows of detections) with everything LVIS has rules for."""
    categories = [
        {"id": number, "name": str(number), "frequency": "rcf"[number % 3], "instance_count": 10}
        for number in (2, 5, 6)
    ]
    some = st.lists(st.sampled_from([2, 5, 6]), unique=True)
    images = [
        {"id": number, "neg_category_ids": draw(some), "not_exhaustive_category_ids": draw(some)}
        for number in range(3, 3 + draw(st.integers(1, 4)))
    ]
    place = st.tuples(st.sampled_from(images).map(lambda i: i["id"]), st.sampled_from([2, 5, 6]))
    objects = draw(st.lists(st.tuples(place, box), max_size=10))
    annotations = [
        {
            "id": number, "image_id": image, "category_id": category, "bbox": where,
            "area": where[2] * where[3], "ignore": draw(st.sampled_from([0, 0, 0, 1])),
        }
        for number, ((image, category), where) in enumerate(objects)  # also the id 0
    ]  # fmt: skip
    nearby = [(*where, 0) for where in objects]
    detections = draw(st.lists(st.tuples(place, box, st.just(0)), max_size=8))
    detections += draw(st.lists(st.sampled_from(nearby), max_size=12)) if nearby else []
    scores = st.sampled_from([0.1, 0.5, 0.9])
    if distinct_scores:
        scores = draw(st.permutations([0.01 * n for n in range(1, 1 + len(detections))]))
    rows = []
    for number, (pair, where, _) in enumerate(detections):
        moved = np.maximum(np.add(where, draw(st.sampled_from([0, 1, 3]))), 0).tolist()
        score = scores[number] if distinct_scores else draw(scores)
        rows.append([*pair, *moved, score])
    return {"images": images, "annotations": annotations, "categories": categories}, rows


def write(folder, data, rows):
    paths = folder / "val.json", folder / "predictions.parquet"
    paths[0].write_text(json.dumps(data))
    table = pd.DataFrame(rows, columns=COLUMNS)
    kinds = {"image_id": "int64", "category_id": "int64"} | dict.fromkeys(COLUMNS[2:], "float64")
    table.astype(kinds).to_parquet(paths[1])
    return paths


def read(paths):
    truth = read_truth(paths[0])
    return match(truth, read_predictions(paths[1], truth))


def copied(data, rows, weights):
    """Each image as often as its weight says, under new ids."""
    images, annotations, detections = [], [], []
    for image, weight in zip(data["images"], weights, strict=True):
        for _ in range(weight):
            new = 100 + len(images)
            images.append({**image, "id": new})
            mine = [a for a in data["annotations"] if a["image_id"] == image["id"]]
            annotations += [{**a, "image_id": new} for a in mine]
            detections += [[new, *row[1:]] for row in rows if row[0] == image["id"]]
    annotations = [{**a, "id": number} for number, a in enumerate(annotations)]
    return {**data, "images": images, "annotations": annotations}, detections


def assert_same(found, expected):
    assert np.isnan(found) if expected is None else found == pytest.approx(expected, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(dataset=datasets())
def test_weights_of_one_give_the_ap_of_evaluate(tmp_path_factory, dataset):
    paths = write(tmp_path_factory.mktemp("ones"), *dataset)
    matches = read(paths)
    found = average_precision(matches, np.ones((1, len(matches.truth.images)), np.uint8))[0]
    evaluation = evaluate_files(*paths)
    for value, row in zip(found, evaluation.categories, strict=True):
        assert_same(value, row["AP"])
    assert_same(defined_mean(found[None])[0], evaluation.metrics["AP"])


@settings(max_examples=40, deadline=None)
@given(dataset=datasets(distinct_scores=True), data=st.data())
def test_a_replicate_is_the_data_set_with_copied_images(tmp_path_factory, dataset, data):
    folder = tmp_path_factory.mktemp("copies")
    matches = read(write(folder, *dataset))
    size = len(matches.truth.images)
    weights = data.draw(st.lists(st.integers(0, 3), min_size=size, max_size=size).filter(any))
    found = average_precision(matches, np.array([weights], np.uint8))[0]
    evaluation = evaluate_files(*write(folder, *copied(*dataset, weights)))
    for value, row in zip(found, evaluation.categories, strict=True):
        assert_same(value, row["AP"])


def a_mask(rng, around=None):
    """A rectangle of a 24 x 20 image with holes, or ``around`` with some pixels turned; RLE."""
    pixels = np.zeros((24, 20), bool)
    top, left = rng.integers(0, 15, 2)
    pixels[top : top + rng.integers(1, 12), left : left + rng.integers(1, 12)] = True
    if around is not None and rng.random() < 0.8:
        pixels = mask.decode(around).astype(bool)
    pixels ^= rng.random(pixels.shape) < rng.choice([0, 0.02, 0.1])
    found = mask.encode(np.asfortranarray(pixels.astype(np.uint8)))
    return {"size": [24, 20], "counts": found["counts"].decode()}


def masked(dataset, rng):
    """The same data with a mask in place of each box; of an annotation a polygon now and then."""
    data, rows = dataset
    for image in data["images"]:
        image |= {"height": 24, "width": 20}
    for annotation in data["annotations"]:
        annotation["segmentation"] = a_mask(rng)
        annotation["area"] = int(mask.area(annotation["segmentation"]))
        if rng.random() < 0.3:
            x, y = rng.integers(0, 8, 2).tolist()
            annotation["segmentation"] = [[x, y, x + 9, y, x + 9, y + 7, x, y + 7]]
            annotation["area"] = 63
    shapes = [a["segmentation"] for a in data["annotations"]]
    shapes = [shape for shape in shapes if isinstance(shape, dict)] or [None]
    counts = [a_mask(rng, shapes[rng.integers(len(shapes))])["counts"] for _ in rows]
    return data, rows, counts


@settings(max_examples=60, deadline=None)
@given(dataset=datasets(), seed=st.integers(0, 2**32 - 1))
def test_weights_of_one_give_the_mask_ap_of_evaluate(tmp_path_factory, dataset, seed):
    data, rows, counts = masked(dataset, np.random.default_rng(seed))
    paths = write(tmp_path_factory.mktemp("masks"), data, rows)
    pd.read_parquet(paths[1]).assign(rle=pd.Series(counts, dtype=str)).to_parquet(paths[1])
    truth = read_truth(paths[0], "segm")
    matches = match(truth, read_predictions(paths[1], truth, "segm"))
    found = average_precision(matches, np.ones((1, len(truth.images)), np.uint8))[0]
    for value, row in zip(found, evaluate_files(*paths, "segm").categories, strict=True):
        assert_same(value, row["AP"])


def test_more_than_300_detections_an_image(tmp_path):
    rng = np.random.default_rng(0)
    image = {"id": 1, "neg_category_ids": [5], "not_exhaustive_category_ids": []}
    categories = [{"id": n, "name": str(n), "frequency": "f"} for n in (2, 5)]
    boxes = rng.integers(1, 60, (40, 4)).tolist()
    annotations = [
        {"id": n, "image_id": 1, "category_id": 2, "bbox": b, "area": b[2] * b[3]}
        for n, b in enumerate(boxes)
    ]
    rows = [[1, 2 if n % 3 else 5, *boxes[n % 40], n % 7 / 7] for n in range(450)]
    paths = write(
        tmp_path, {"images": [image], "annotations": annotations, "categories": categories}, rows
    )
    matches = read(paths)
    assert len(matches.score) == 300
    found = average_precision(matches, np.ones((1, 1), np.uint8))
    assert defined_mean(found)[0] == pytest.approx(evaluate_files(*paths).metrics["AP"], abs=1e-9)


def test_draws_are_the_same_for_every_method_and_have_the_size_of_the_data():
    weights = image_weights(50, replicates=20)
    np.testing.assert_array_equal(weights, image_weights(50, replicates=20))
    assert weights.shape == (20, 50) and (weights.sum(axis=1) == 50).all()
    assert len(np.unique(weights, axis=0)) == 20


def test_columns_follow_the_groupings_that_the_categories_have(tmp_path):
    data = {
        "images": [{"id": 1, "neg_category_ids": [], "not_exhaustive_category_ids": []}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 2, "bbox": [0, 0, 9, 9], "area": 81}
        ],
        "categories": [{"id": 2, "name": "a", "frequency": "c", "instance_count": 25}],
    }
    table = replicates(read(write(tmp_path, data, [[1, 2, 0, 0, 9, 9, 0.5]])))
    assert list(table) == ["AP", "APr", "APc", "APf"] + [f"simcal/AP{n}" for n in range(1, 5)]
    assert len(table) == 1000 and (table.AP == 1).all() and (table["simcal/AP2"] == 1).all()
    assert table.APr.isna().all() and table["simcal/AP1"].isna().all()


@pytest.mark.parametrize("objects", [1, 3, 29, 100, 200, 1000, 9973])
def test_counts_that_reach_a_recall_threshold(objects):
    found = counts_to_reach(RECALL_THRESHOLDS, np.array([objects], np.int32))[0]
    recall = np.arange(objects + 1) / objects
    assert found.tolist() == np.maximum(np.searchsorted(recall, RECALL_THRESHOLDS), 1).tolist()


@settings(max_examples=100, deadline=None)
@given(
    wishes=st.lists(st.lists(st.integers(0, 5), unique=True, max_size=6), max_size=9),
)
def test_assignment_equals_choosing_in_turn(wishes):
    taken = []
    for wish in wishes:
        taken.append(next((item for item in wish if item not in taken), -1))
    detection = np.repeat(np.arange(len(wishes)), [len(wish) for wish in wishes])
    item = np.array([item for wish in wishes for item in wish], np.int64)
    assert assign(detection.astype(np.int64), item, len(wishes), 6).tolist() == taken
