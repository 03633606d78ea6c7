"""Which classes hallucination drew, epoch by epoch: by bins of training images."""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.diagnosis.bins import frequency_bins
from pipeline.evaluation.groupings import GROUPINGS
from pipeline.files import write_text

COLUMNS = ["grouping", "epoch", "bin", "categories", "probability", "seen"]


def write_sampling(folder: Path, history: Path, categories: list[dict]) -> None:
    """``folder``/sampling.csv; only the header where nothing was hallucinated.

    ``probability``: of a draw to fall in the bin, as of the end of the epoch; ``seen``: the share
    of the bin's classes that have features (a draw of another one counts for nothing).
    """
    rows = []
    if history.is_file():
        with np.load(history) as arrays:
            for name, grouping in GROUPINGS.items():
                bins = frequency_bins(categories, grouping)
                rows += [(name, *row) for row in by_bins(arrays, *bins)]
    table = pd.DataFrame(rows, columns=COLUMNS)
    write_text(folder / "sampling.csv", table.to_csv(index=False, lineterminator="\n"))


def by_bins(arrays, labels, bins):
    """(epoch, bin, its categories, probability, seen)."""
    sizes = np.bincount(bins, minlength=len(labels))
    epochs = zip(arrays["epoch"], arrays["probability"], arrays["seen"], strict=True)
    for epoch, probability, seen in epochs:
        if np.isnan(probability).any():  # before the start epoch, or switched off
            continue
        drawn = np.bincount(bins, probability, len(labels))
        known = np.bincount(bins, seen, len(labels)) / sizes
        for label, size, share, part in zip(labels, sizes, drawn, known, strict=True):
            yield int(epoch), label, int(size), f"{share:.6f}", f"{part:.4f}"
