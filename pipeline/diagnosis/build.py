"""The files of one method's diagnosis."""

from pathlib import Path

from pipeline.diagnosis.bootstrap import replicates
from pipeline.diagnosis.calibration import calibration, classes, expected_errors
from pipeline.diagnosis.errors import errors
from pipeline.diagnosis.matches import match
from pipeline.evaluation.predictions import read_predictions
from pipeline.evaluation.truth import read_truth
from pipeline.files import atomic_folder, write_json


def build(annotations: str | Path, predictions: str | Path, folder: str | Path) -> None:
    """Write bootstrap.csv, errors.json, calibration.csv and classes.csv into ``folder``."""
    truth = read_truth(annotations)
    detections = read_predictions(predictions, truth)
    matches = match(truth, detections)
    bins = calibration(matches)
    with atomic_folder(folder) as temporary:
        write_table(temporary / "bootstrap.csv", replicates(matches))
        write_json(
            temporary / "errors.json",
            {"groups": errors(truth, detections), "ece": expected_errors(bins)},
        )
        write_table(temporary / "calibration.csv", bins)
        write_table(temporary / "classes.csv", classes(matches))


def write_table(path, table):
    table.to_csv(path, index=False, float_format="%.6f", lineterminator="\n")
