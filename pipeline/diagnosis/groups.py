"""The groups that a diagnosis tells apart: all categories, and those of every grouping."""

import numpy as np

from pipeline.evaluation.groupings import GROUPINGS, has_counts
from pipeline.evaluation.truth import Truth

ALL = "all"


def members_of_groups(truth: Truth) -> dict[str, np.ndarray]:
    """code -> which categories [K] belong to it; SimCal's only where the categories have counts."""
    members = {ALL: np.ones(len(truth.categories), bool)}
    for name, grouping in GROUPINGS.items():
        if name == "lvis" or has_counts(grouping, truth.categories):
            codes = grouping.codes(truth.categories)
            members |= {group.code: codes == group.code for group in grouping.groups}
    return members
