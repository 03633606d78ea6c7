"""All that `diagnose` finds out about one method, as files in one folder."""

from pathlib import Path

import pandas as pd

from pipeline.data.categories import read_categories
from pipeline.diagnosis.bootstrap import replicates
from pipeline.diagnosis.calibration import calibration, classes, expected_errors
from pipeline.diagnosis.classifier import write_classifier
from pipeline.diagnosis.confused_pairs import write_confusion
from pipeline.diagnosis.error_types import errors
from pipeline.diagnosis.matches import match
from pipeline.diagnosis.objects import objects
from pipeline.diagnosis.sampling import write_sampling
from pipeline.evaluation.predictions import has_masks, read_predictions
from pipeline.evaluation.truth import read_truth
from pipeline.files import atomic_folder, write_json

MASKS = "segm/"  # as in the metrics that `evaluate` writes


def build(data: Path, predictions: Path, model: Path, folder: Path) -> None:
    """``data``: data/<name>; ``model``: models/<method>; everything is written into ``folder``."""
    truth = read_truth(data / "val.json")
    detections = read_predictions(predictions, truth)
    categories, history = read_categories(data / "categories.csv"), model / "class_history.npz"
    matches = match(truth, detections)
    bins = calibration(matches)
    with atomic_folder(folder) as out:
        resampled = replicates(matches).join(mask_replicates(data, predictions))
        write_table(out / "bootstrap.csv", resampled)
        found = {"tide": errors(truth, detections), "ece": expected_errors(bins)}
        write_json(out / "errors.json", found)
        write_table(out / "objects.csv", objects(truth, detections))
        write_table(out / "calibration.csv", bins)
        write_table(out / "classes.csv", classes(matches))
        write_classifier(out, model / "classifier.npz", categories)
        write_confusion(out, history, categories)
        write_sampling(out, history, categories)


def mask_replicates(data, predictions):
    """As of the boxes, under segm/; without a column where there are no masks."""
    if not has_masks(predictions):
        return pd.DataFrame()
    truth = read_truth(data / "val.json", "segm")
    matches = match(truth, read_predictions(predictions, truth, "segm"))
    return replicates(matches).add_prefix(MASKS)


def write_table(path, table):
    table.to_csv(path, index=False, float_format="%.6f", lineterminator="\n")
