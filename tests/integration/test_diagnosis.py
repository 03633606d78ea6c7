"""The stage `diagnose` on a small project, and its figures against hotcoco's and evaluate's."""

import csv
import json

import numpy as np
import pytest
import torch
from report_project import NAMES, make_project

from pipeline.diagnosis.calibration import calibration, classes, expected_errors
from pipeline.diagnosis.matches import match
from pipeline.evaluation.lvis import engine_detections, engine_truth
from pipeline.evaluation.predictions import read_predictions
from pipeline.evaluation.run import evaluate_files
from pipeline.evaluation.truth import read_truth
from stages.diagnose import diagnose

FILES = ("data/blocks/val.json", "predictions/bacl.parquet")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    root = tmp_path_factory.mktemp("project")
    make_project(root)
    head, rows = "roi_head.bbox_head.fc_cls", len(NAMES) + 1
    weights = {f"{head}.weight": torch.ones(rows, 4), f"{head}.bias": torch.ones(rows)}
    torch.save(weights, root / "models" / "bacl" / "weights.pth")
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
        "confusion.csv", "errors.json", "sampling.csv",
    }  # fmt: skip
    rows = list(csv.DictReader((folder / "bootstrap.csv").open()))
    measured = evaluate_files(*FILES).metrics
    found = np.array([float(row["AP"]) for row in rows])
    assert len(found) == 1000 and abs(found.mean() - measured["AP"]) < 3 * found.std()
    errors = json.loads((folder / "errors.json").read_text())
    assert errors["groups"]["all"]["AP50"] == pytest.approx(measured["AP50"], abs=1e-9)
    assert errors["groups"].keys() == {"all", "r", "c", "f"}
    assert errors["ece"].keys() == {"all", "r", "c", "f", "1", "2", "3", "4"}


def test_stage_refuses_an_unknown_method(project, monkeypatch):
    monkeypatch.chdir(project)
    with pytest.raises(ValueError, match="unknown method 'bacll'"):
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
