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
BIN_COLUMNS = ["grouping", "epoch", "true", "predicted", "share"]
PAIR_COLUMNS = ["true", "true_images", "predicted", "predicted_images", *EPOCHS]
ROWS_AT_ONCE = 256


def write_confusion(folder: Path, history: Path, categories: list[dict]) -> None:
    """``folder``/confusion.csv between bins of categories, and confused_pairs.csv; headers only
    where the method's loss keeps no confusion."""
    bin_rows, pairs, values = [], [], []
    for epoch, matrix in matrices(history):
        own, seen = matrix.diagonal().copy(), matrix.sum(axis=1) > 0
        np.fill_diagonal(matrix, 0)
        found = between_bins(matrix, own, seen, categories)
        bin_rows += [(name, epoch, *row) for name, *row in found]
        if epoch == EPOCHS[0]:
            pairs = largest_pairs(matrix)
        values.append([f"{matrix[pair]:.6f}" for pair in pairs])
    bin_rows.sort(key=lambda row: list(GROUPINGS).index(row[0]))
    pair_rows = [
        (*(categories[c][key] for c in pair for key in ("name", "image_count")), *of_epochs)
        for pair, *of_epochs in zip(pairs, *values, strict=True)
    ]
    write_table(folder / "confusion.csv", bin_rows, BIN_COLUMNS)
    write_table(folder / "confused_pairs.csv", pair_rows, PAIR_COLUMNS)


def write_table(path, rows, columns):
    table = pd.DataFrame(rows, columns=columns)
    write_text(path, table.to_csv(index=False, lineterminator="\n"))


def matrices(history):
    """Each epoch and its matrix [C, C], one after the other: of V3Det's classes each has 0.7 GB."""
    if history.is_file():
        with np.load(history) as arrays:
            for epoch in EPOCHS:
                yield epoch, arrays[epoch]


def between_bins(others, own, seen, categories):
    """(grouping, true bin, predicted bin or "self", share): the mean share of each bin's classes
    that goes to the class itself, ``own`` [C], and to the ``others`` [C, C] of each bin; classes
    not ``seen`` [C] in that epoch do not count."""
    for name, grouping in GROUPINGS.items():
        labels, bins = frequency_bins(categories, grouping)
        member = np.eye(len(labels))[bins]
        mine = member * seen[:, None]
        count = mine.sum(axis=0)
        shares = np.column_stack([own, in_float64(others, member)])
        means = mine.T @ shares / np.maximum(count, 1)[:, None]
        for i in np.flatnonzero(count):
            for predicted, share in zip(("self", *labels), means[i], strict=True):
                yield name, labels[i], predicted, f"{share:.6f}"


def in_float64(matrix, other):
    """Their product, without all of ``matrix`` in float64 at any time."""
    starts = range(0, len(matrix), ROWS_AT_ONCE)
    return np.concatenate([matrix[start : start + ROWS_AT_ONCE] @ other for start in starts])


def largest_pairs(others):
    """Positions of the ``PAIRS`` largest numbers, the largest first; none of 0."""
    # they lie in the rows of the largest maxima, which are as many
    rows = np.sort(np.argsort(-others.max(axis=1), kind="stable")[:PAIRS])
    largest = np.argsort(-others[rows], axis=None, kind="stable")[:PAIRS]
    row, column = np.unravel_index(largest, (len(rows), len(others)))
    return [pair for pair in zip(rows[row], column, strict=True) if others[pair] > 0]
