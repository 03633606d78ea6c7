"""From files to files: read a pair, evaluate it, write the table per category."""

import csv
import io
import sys
from pathlib import Path

import numpy as np

from pipeline.evaluation.average_precision import PER_CATEGORY, Evaluation, evaluate
from pipeline.evaluation.predictions import read_predictions
from pipeline.evaluation.truth import read_truth
from pipeline.files import write_text

COLUMNS = (
    "category_id", "name", "frequency", "image_count", "instance_count", "AP", "AP50", "fixed_AP",
)  # fmt: skip


def evaluate_files(annotations: str | Path, predictions: str | Path, iou_type="bbox") -> Evaluation:
    """Evaluate one pair of files; ``iou_type`` is "bbox" or "segm"."""
    truth = read_truth(annotations, iou_type)
    detections = read_predictions(predictions, truth, iou_type)
    warn_of_few_detections(truth, detections)
    return evaluate(truth, detections, iou_type)


def warn_of_few_detections(truth, detections):
    """AP-fixed is only comparable where a category has all the detections that it allows."""
    counts = np.bincount(detections.category, minlength=len(truth.categories))
    few = int((counts < PER_CATEGORY).sum())
    if few:
        print(
            f"note: {few} of {len(counts)} categories have fewer than {PER_CATEGORY:,} detections; "
            "their AP-fixed is a lower bound if predict.max_per_image cut detections off",
            file=sys.stderr,
        )


def write_per_category(path: str | Path, categories: list[dict]) -> None:
    """Write ``Evaluation.categories`` as CSV; a field is empty where it is undefined."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(categories)
    write_text(path, text.getvalue())
