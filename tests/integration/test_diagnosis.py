"""The stage `diagnose` on a small project, and its figures against hotcoco's and evaluate's."""

import csv
import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from report_project import NAMES, make_project

from pipeline.detection.class_weights import write_class_weights
from pipeline.diagnosis.calibration import calibration, classes, expected_errors
from pipeline.diagnosis.error_types import errors
from pipeline.diagnosis.matches import judged_detections, match
from pipeline.diagnosis.objects import objects
from pipeline.evaluation.average_precision import engine_detections, engine_truth
from pipeline.evaluation.evaluate import evaluate_files
from pipeline.evaluation.predictions import read_predictions
from pipeline.evaluation.truth import read_truth
from stages.diagnose import diagnose

FILES = ("data/blocks/val.json", "predictions/bacl.parquet")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    root = tmp_path_factory.mktemp("project")
    make_project(root)
    head, rows = "roi_head.bbox_head.fc_cls", len(NAMES) + 1
    weights = {f"{head}.weight": torch.ones(rows, 4), f"{head}.bias": torch.ones(rows)}
    write_class_weights(weights, len(NAMES), root / "models" / "bacl")
    return root


@pytest.fixture(scope="module")
def data(project):
    truth = read_truth(project / FILES[0])
    return truth, read_predictions(project / FILES[1], truth)


def test_stage_writes_every_file(project, monkeypatch):
    monkeypatch.chdir(project)
    diagnose("bacl")
    folder = project / "reports/diagnosis/bacl"
    assert {path.name for path in folder.iterdir()} == {
        "bootstrap.csv", "calibration.csv", "classes.csv", "classifier.csv", "confused_pairs.csv",
        "confusion.csv", "errors.json", "objects.csv", "sampling.csv",
    }  # fmt: skip
    rows = list(csv.DictReader((folder / "bootstrap.csv").open()))
    measured = evaluate_files(*FILES).metrics
    found = np.array([float(row["AP"]) for row in rows])
    assert len(found) == 1000 and abs(found.mean() - measured["AP"]) < 3 * found.std()
    found = json.loads((folder / "errors.json").read_text())
    assert found["tide"]["AP50"] == pytest.approx(measured["AP50"], abs=1e-9)
    assert found["ece"].keys() == {"all", "r", "c", "f", "1", "2", "3", "4"}


def test_stage_refuses_an_unknown_method(project, monkeypatch):
    monkeypatch.chdir(project)
    with pytest.raises(ValueError, match="unknown method of diagnose 'bacll'"):
        diagnose("bacll")


def test_calibration_equals_hotcoco(data):
    from hotcoco import LVISeval

    truth, predictions = data
    annotated = engine_truth(truth)
    detected = engine_detections(annotated, truth, predictions)
    evaluation = LVISeval(annotated, detected, "bbox")
    evaluation.evaluate()
    expected = evaluation.calibration(n_bins=10, iou_threshold=0.5)
    table = calibration(match(truth, predictions))
    rows = table[table.group == "all"]
    assert rows["count"].tolist() == [b["count"] for b in expected["bins"]]
    filled = rows["count"].to_numpy() > 0
    precision = np.array([b["avg_accuracy"] for b in expected["bins"]])[filled]
    np.testing.assert_allclose(rows["precision"][filled], precision, atol=1e-12)
    assert expected_errors(table)["all"] == pytest.approx(expected["ece"], abs=1e-12)


def test_classes_count_the_judged_detections(data):
    truth, predictions = data
    matches = match(truth, predictions)
    table = classes(matches)
    assert table.judged.sum() == len(matches.score) < len(predictions)
    first = matches.category == 0
    assert table.mean_score[0] == pytest.approx(matches.score[first].mean())
    assert (table.correct_score.dropna() > table.mean_score[table.correct_score.notna()]).any()


def small_data(folder, found):
    """Two rare categories with 4 objects and 1, a frequent one with 5, an image each; of each
    ``found`` a detection (image, category, score) of the object's box. All pairs are judged."""
    categories = [
        {"id": i, "name": str(i), "frequency": f, "image_count": n, "instance_count": n}
        for i, (f, n) in enumerate([("r", 4), ("r", 1), ("f", 500)], 1)
    ]
    box = [10.0, 10.0, 20.0, 20.0]
    true = [1] * 4 + [2] + [3] * 5
    images = [
        {"id": i, "width": 64, "height": 64, "neg_category_ids": [1, 2, 3],
         "not_exhaustive_category_ids": []}
        for i in range(1, 11)
    ]  # fmt: skip
    annotations = [
        {"id": i, "image_id": i, "category_id": c, "bbox": box, "area": 400.0}
        for i, c in enumerate(true, 1)
    ]
    val = {"images": images, "categories": categories, "annotations": annotations}
    (folder / "val.json").write_text(json.dumps(val))
    results = [
        {"image_id": i, "category_id": c, "bbox": box, "score": score} for i, c, score in found
    ]
    (folder / "found.json").write_text(json.dumps(results))
    truth = read_truth(folder / "val.json")
    return truth, read_predictions(folder / "found.json", truth)


FREQUENT = [(i, 3, 0.9) for i in range(6, 11)]


def lvis_rows(table):
    """{(group, outcome): objects} without the zeros."""
    own = table[(table.grouping == "lvis") & (table.objects > 0)]
    return {(row.group, row.outcome): row.objects for row in own.itertuples()}


def test_a_category_that_nobody_finds_is_what_missing_costs(tmp_path):
    """Without its objects it leaves the mean: (1 + 1) / 2 in place of (1 + 0 + 1) / 3."""
    truth, predictions = small_data(tmp_path, [*[(i, 1, 0.8) for i in range(1, 5)], *FREQUENT])
    found = errors(truth, predictions)
    assert found["AP50"] == pytest.approx(2 / 3)
    assert found["counts"]["Miss"] == 1
    assert found["delta"]["Miss"] == found["delta"]["FN"] == pytest.approx(1 / 3)
    assert found["delta"]["Cls"] == found["delta"]["Bkg"] == 0
    assert lvis_rows(objects(truth, predictions)) == {
        ("r", "correct"): 4, ("r", "nothing"): 1, ("f", "correct"): 5,
    }  # fmt: skip


def test_rare_objects_that_are_taken_for_frequent_ones(tmp_path):
    """By the detection with the best score; the right one below it does not count."""
    taken = [(1, 3, 0.95), (2, 3, 0.9), (3, 3, 0.3), (3, 1, 0.4), (4, 1, 0.2), (4, 3, 0.5)]
    truth, predictions = small_data(tmp_path, [*taken, (5, 1, 0.7), *FREQUENT])
    assert lvis_rows(objects(truth, predictions)) == {
        ("r", "f"): 3, ("r", "correct"): 1, ("r", "r"): 1, ("f", "correct"): 5,
    }  # fmt: skip
    found = errors(truth, predictions)
    assert found["delta"]["Cls"] > 0.3
    assert found["delta"]["Bkg"] == 0


def test_nothing_found_and_nothing_to_find(tmp_path):
    truth, predictions = small_data(tmp_path, [])
    found = errors(truth, predictions)
    assert (found["AP50"], found["delta"]["Miss"], found["counts"]["Miss"]) == (0, 1, 10)
    assert lvis_rows(objects(truth, predictions)) == {("r", "nothing"): 5, ("f", "nothing"): 5}
    empty = replace(truth, image=truth.image[:0], category=truth.category[:0],
                    boxes=truth.boxes[:0], area=truth.area[:0])  # fmt: skip
    assert errors(empty, predictions) is None
    assert objects(empty, predictions).objects.sum() == 0


def test_objects_equal_the_slow_ones(data):
    truth, predictions = data
    chosen = judged_detections(truth, predictions)
    codes = np.array([category["frequency"] for category in truth.categories])
    slow = Counter()
    for image, category, box in zip(truth.image, truth.category, truth.boxes, strict=True):
        best, answer = -1, "nothing"
        for k in np.flatnonzero(chosen.image == image):
            x, y, w, h = chosen.boxes[k].astype(float)
            wide = min(x + w, box[0] + box[2]) - max(x, box[0])
            high = min(y + h, box[1] + box[3]) - max(y, box[1])
            shared = max(wide, 0) * max(high, 0)
            if shared / (w * h + box[2] * box[3] - shared) >= 0.5 and chosen.score[k] > best:
                right = chosen.category[k] == category
                best, answer = chosen.score[k], "correct" if right else codes[chosen.category[k]]
        slow[codes[category], answer] += 1
    assert lvis_rows(objects(truth, predictions)) == slow
    assert len(slow) > 5
