"""All that `diagnose` finds out about one method, as files in one folder."""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.data.categories import read_categories
from pipeline.diagnosis.bootstrap import average_precision, image_weights
from pipeline.diagnosis.classifier import write_classifier
from pipeline.diagnosis.confusion import write_confusion
from pipeline.diagnosis.errors import write_errors
from pipeline.diagnosis.matches import Matches, match
from pipeline.diagnosis.sampling import write_sampling
from pipeline.diagnosis.scores import calibration, expected_calibration_error, write_scores
from pipeline.evaluation.groupings import GROUPINGS, has_counts
from pipeline.evaluation.predictions import read_predictions
from pipeline.evaluation.truth import read_truth
from pipeline.files import atomic_folder, write_text


def diagnose(data: Path, predictions: Path, model: Path, folder: Path) -> None:
    """``data``: data/<name>; ``model``: models/<method>; everything is written into ``folder``."""
    truth = read_truth(data / "val.json")
    detections = read_predictions(predictions, truth)
    categories = read_categories(data / "categories.csv")
    matches = match(truth, detections)
    table = calibration(matches)
    with atomic_folder(folder) as out:
        write_scores(out, matches, table)
        write_errors(out / "errors.json", truth, detections, expected_calibration_error(table))
        write_bootstrap(out / "bootstrap.csv", matches)
        write_classifier(out, model / "weights.pth", categories)
        write_confusion(out, model / "class_history.npz", categories)
        write_sampling(out, model / "class_history.npz", categories)


def write_bootstrap(path: Path, matches: Matches) -> None:
    """AP and each group's AP, a row a replicate: the mean over the categories that have an object
    among the drawn images. Row r stands for the same images in every method's file."""
    truth = matches.truth
    ap = average_precision(matches, image_weights(len(truth.images)))
    columns = {"AP": np.ones(len(truth.categories), bool)}
    for grouping in GROUPINGS.values():
        if has_counts(grouping, truth.categories):
            codes = grouping.codes(truth.categories)
            columns |= {group.key: codes == group.code for group in grouping.groups}
    table = pd.DataFrame({key: mean(ap[:, members]) for key, members in columns.items()})
    write_text(path, table.round(6).to_csv(index=False, lineterminator="\n"))


def mean(ap):
    """[R] of ``ap`` [R, K]; NaN where no category has an object."""
    known = ~np.isnan(ap)
    count = known.sum(axis=1)
    total = np.where(known, ap, 0).sum(axis=1)
    return np.divide(total, count, out=np.full(len(ap), np.nan), where=count > 0)
