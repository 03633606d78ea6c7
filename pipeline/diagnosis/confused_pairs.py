"""What FCBL took each class for, within the first and within the last epoch of its stage.

Read from models/<method>/class_history.npz (pipeline/training/class_history.py): row i of a matrix
is the mean softmax over the foreground classes of all samples of class i.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.diagnosis.bins import frequency_bins
from pipeline.evaluation.groupings import GROUPINGS
from pipeline.files import write_text

EPOCHS = ("first", "last")
PAIRS = 15
COLUMNS = ["grouping", "epoch", "true", "predicted", "share"]


def write_confusion(folder: Path, history: Path, categories: list[dict]) -> None:
    """``folder``/confusion.csv between bins of categories, and confused_pairs.csv; headers only
    where the method's loss keeps no confusion."""
    matrices = read_matrices(history)
    write_text(folder / "confusion.csv", between_bins(matrices, categories))
    write_text(folder / "confused_pairs.csv", confused_pairs(matrices, categories))


def read_matrices(history) -> dict[str, np.ndarray]:
    if not history.is_file():
        return {}
    with np.load(history) as arrays:
        return {epoch: arrays[epoch] for epoch in EPOCHS}


def between_bins(matrices, categories) -> str:
    """Per bin of true classes the mean share that goes to the class itself, predicted "self", and
    to the *other* classes of each bin; classes without a sample in that epoch do not count."""
    rows = [
        (name, epoch, *row)
        for name, grouping in GROUPINGS.items()
        for epoch, matrix in matrices.items()
        for row in shares(matrix, *frequency_bins(categories, grouping))
    ]
    return pd.DataFrame(rows, columns=COLUMNS).to_csv(index=False, lineterminator="\n")


def shares(matrix, labels, bins):
    """(true bin, predicted bin or "self", share) of one matrix."""
    member = np.eye(len(labels))[bins]
    own = matrix.diagonal()
    to_bins = (matrix - np.diag(own)) @ member
    seen = member * (matrix.sum(axis=1) > 0)[:, None]
    count = seen.sum(axis=0)
    means = seen.T @ np.column_stack([own, to_bins]) / np.maximum(count, 1)[:, None]
    for i in np.flatnonzero(count):
        for predicted, share in zip(("self", *labels), means[i], strict=True):
            yield labels[i], predicted, f"{share:.6f}"


def confused_pairs(matrices, categories) -> str:
    """The ``PAIRS`` pairs of classes with the largest share in the first epoch."""
    columns = ["true", "true_images", "predicted", "predicted_images", *EPOCHS]
    if not matrices:
        return pd.DataFrame(columns=columns).to_csv(index=False, lineterminator="\n")
    first = matrices["first"] * (1 - np.eye(len(categories)))
    largest = np.argsort(-first, axis=None, kind="stable")[:PAIRS]
    pairs = [(i, j) for i, j in zip(*np.unravel_index(largest, first.shape), strict=True)]
    rows = [
        (
            *(categories[c][key] for c in pair for key in ("name", "image_count")),
            *(f"{matrices[epoch][pair]:.6f}" for epoch in EPOCHS),
        )
        for pair in pairs
        if first[pair] > 0
    ]
    return pd.DataFrame(rows, columns=columns).to_csv(index=False, lineterminator="\n")
