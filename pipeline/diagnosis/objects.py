"""What becomes of the objects of each group: found, taken for another category, or not found.

The answer to an object is the judged detection of the best score that overlaps it by half (IoU),
whatever its category. This shows what AP by group hides: for what rare objects are taken.
"""

import numpy as np
import pandas as pd

from pipeline.diagnosis.bins import CORRECT, NOTHING, UNGROUPED
from pipeline.diagnosis.matches import LARGEST_AREA, judged_detections
from pipeline.diagnosis.overlaps import overlaps
from pipeline.evaluation.groupings import GROUPINGS, LVIS, NO_GROUP, has_counts
from pipeline.evaluation.predictions import Predictions
from pipeline.evaluation.truth import Truth

COLUMNS = ["grouping", "group", "outcome", "objects"]


def objects(truth: Truth, predictions: Predictions) -> pd.DataFrame:
    """grouping, group, outcome, objects: how many of the group's objects. ``outcome`` is
    "correct", the group of another category that an object is taken for ("-": it is in none), or
    "nothing"."""
    answers = answered_category(truth, predictions)
    counted = truth.area <= LARGEST_AREA
    own, answer = truth.category[counted], answers[counted]
    rows = []
    for name, grouping in GROUPINGS.items():
        if grouping is LVIS or has_counts(grouping, truth.categories):
            codes = grouping.codes(truth.categories)
            rows += [(name, *row) for row in outcomes(own, answer, codes, list(grouping.names))]
    return pd.DataFrame(rows, columns=COLUMNS)


def answered_category(truth, predictions) -> np.ndarray:
    """[G]: the position of the category that each object is taken for, -1 for none."""
    chosen = judged_detections(truth, predictions)
    detection, item, _ = overlaps(truth, chosen, truth.image, chosen.image)
    order = np.lexsort((detection, -chosen.score[detection], item))
    answered, first = np.unique(item[order], return_index=True)
    answer = np.full(len(truth.category), -1)
    answer[answered] = chosen.category[detection[order[first]]]
    return answer


def outcomes(own, answer, codes, groups):
    """(group, outcome, objects), also where there are none."""
    names = np.where(codes == NO_GROUP, UNGROUPED, codes)
    taken_for = np.where(answer < 0, NOTHING, names[answer])
    outcome = np.where(own == answer, CORRECT, taken_for)
    for group in groups:
        mine = outcome[codes[own] == group]
        for name in (CORRECT, *groups, UNGROUPED, NOTHING):
            yield group, name, int((mine == name).sum())
