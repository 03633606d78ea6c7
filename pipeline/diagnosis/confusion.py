"""What FCBL took each class for, within the first and within the last epoch of its stage.

Read from models/<method>/class_history.npz (pipeline/training/class_history.py): row i of a matrix
is the mean softmax over the foreground classes of all samples of class i.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.diagnosis.bins import frequency_bins
from pipeline.files import write_text

EPOCHS = ("first", "last")
PAIRS = 15
COLUMNS = ["epoch", "true", "predicted", "share"]


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
    labels, bins = frequency_bins(categories)
    member = np.eye(len(labels))[bins]
    rows = []
    for epoch, matrix in matrices.items():
        own = matrix.diagonal()
        to_bins = (matrix - np.diag(own)) @ member
        seen = member * (matrix.sum(axis=1) > 0)[:, None]
        count = seen.sum(axis=0)
        shares = seen.T @ np.column_stack([own, to_bins]) / np.maximum(count, 1)[:, None]
        for i in np.flatnonzero(count):
            values = zip(("self", *labels), shares[i], strict=True)
            rows += [(epoch, labels[i], to, f"{share:.6f}") for to, share in values]
    return pd.DataFrame(rows, columns=COLUMNS).to_csv(index=False, lineterminator="\n")


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
