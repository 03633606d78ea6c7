"""Whether scores mean what they say: calibration, and the scores of each category.

Of judged detections: correct ones, matched at IoU 0.5, and false positives. Bins and expected
calibration error as in hotcoco's ``calibration``.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.diagnosis.errors import ALL, members_of_groups
from pipeline.diagnosis.matches import IOU_50, Matches
from pipeline.files import write_text

BINS = 10


def calibration(matches: Matches) -> pd.DataFrame:
    """group, low, high, count, mean_score, precision; a row for each bin that is not empty."""
    counted, correct = matches.counted[IOU_50], matches.correct[IOU_50]
    bins = np.minimum((matches.score * BINS).astype(int), BINS - 1)
    rows = []
    for code, members in members_of_groups(matches.truth).items():
        own = counted & np.isin(matches.category, members)
        size = np.bincount(bins[own], minlength=BINS)
        score = np.bincount(bins[own], matches.score[own], BINS) / np.maximum(size, 1)
        right = np.bincount(bins[own], correct[own], BINS) / np.maximum(size, 1)
        rows += [
            (code, i / BINS, (i + 1) / BINS, size[i], score[i], right[i])
            for i in np.flatnonzero(size)
        ]
    columns = ["group", "low", "high", "count", "mean_score", "precision"]
    return pd.DataFrame(rows, columns=columns)


def expected_calibration_error(table: pd.DataFrame) -> float | None:
    """Of the rows of all categories: the gap of score and precision, by number of detections."""
    own = table[table.group == ALL]
    if own.empty:
        return None
    gap = (own.mean_score - own.precision).abs()
    return float((gap * own["count"]).sum() / own["count"].sum())


def write_scores(folder: Path, matches: Matches, table: pd.DataFrame) -> None:
    """``folder``/calibration.csv and classes.csv: category_id, detections, mean_score and
    correct_score, the mean over the correct ones; empty where there is none."""
    write_text(folder / "calibration.csv", as_csv(table))
    write_text(folder / "classes.csv", as_csv(classes(matches)))


def classes(matches: Matches) -> pd.DataFrame:
    number = len(matches.truth.categories)
    counted, correct = matches.counted[IOU_50], matches.correct[IOU_50]
    return pd.DataFrame(
        {
            "category_id": matches.truth.category_ids,
            "detections": np.bincount(matches.category[counted], minlength=number),
            "mean_score": means(matches, counted, number),
            "correct_score": means(matches, correct, number),
        }
    )


def means(matches, chosen, number):
    count = np.bincount(matches.category[chosen], minlength=number)
    total = np.bincount(matches.category[chosen], matches.score[chosen], number)
    return np.divide(total, count, out=np.full(number, np.nan), where=count > 0)


def as_csv(table) -> str:
    return table.round(6).to_csv(index=False, lineterminator="\n")
