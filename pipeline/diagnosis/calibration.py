"""Whether a score means what it says: the precision at IoU 0.5 of the detections in bins of score.

Only counted detections enter: those of judged categories that are correct or false positives.
"""

import numpy as np
import pandas as pd

from pipeline.diagnosis.groups import members_of_groups
from pipeline.diagnosis.matches import IOU_50, Matches

BINS = 10


def calibration(matches: Matches) -> pd.DataFrame:
    """group (all, r, ...), low, high, count, mean_score, precision: one row a bin; NaN: empty."""
    counted = matches.counted[IOU_50]
    score, correct = matches.score[counted].astype(float), matches.correct[IOU_50, counted]
    place = np.clip((score * BINS).astype(int), 0, BINS - 1)
    tables = []
    for name, members in members_of_groups(matches.truth).items():
        mine = members[matches.category[counted]]
        tables.append(bins(name, place[mine], score[mine], correct[mine]))
    return pd.concat(tables, ignore_index=True)


def bins(name, place, score, correct):
    count = np.bincount(place, minlength=BINS)
    filled = np.where(count, count, np.nan)
    return pd.DataFrame(
        {
            "group": name,
            "low": np.arange(BINS) / BINS,
            "high": np.arange(1, BINS + 1) / BINS,
            "count": count,
            "mean_score": np.bincount(place, score, BINS) / filled,
            "precision": np.bincount(place, correct, BINS) / filled,
        }
    )


def expected_errors(table: pd.DataFrame) -> dict[str, float | None]:
    """Expected calibration error of each group: the mean of |precision - score|, bins by count."""
    found = {}
    for name, rows in table.groupby("group", sort=False):
        gap = (rows["precision"] - rows.mean_score).abs() * rows["count"]
        found[name] = float(gap.sum() / rows["count"].sum()) if rows["count"].any() else None
    return found


def classes(matches: Matches) -> pd.DataFrame:
    """category_id, judged, mean_score, correct_score: one row a category.

    ``judged``: detections where the category is annotated or verified absent; ``mean_score`` is
    theirs, ``correct_score`` of those that match an object at IoU 0.5. NaN without any.
    """
    size = len(matches.truth.categories)
    correct = matches.correct[IOU_50]
    judged = np.bincount(matches.category, minlength=size)
    return pd.DataFrame(
        {
            "category_id": matches.truth.category_ids,
            "judged": judged,
            "mean_score": mean_of(matches.score, matches.category, size),
            "correct_score": mean_of(matches.score[correct], matches.category[correct], size),
        }
    )


def mean_of(values, group, size):
    count = np.bincount(group, minlength=size)
    return np.bincount(group, values, size) / np.where(count, count, np.nan)
