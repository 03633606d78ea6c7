"""Categories in bins by their training count, within the groups of a grouping.

A matrix of 1,203 x 1,203 categories is no picture; a few bins of each group are.
"""

import numpy as np

from pipeline.evaluation.groupings import NO_GROUP, Grouping

BINS_A_GROUP = 6
UNGROUPED = "-"
CORRECT, NOTHING = "correct", "nothing"  # what becomes of an object, besides a group's code


def frequency_bins(categories: list[dict], grouping: Grouping) -> tuple[list[str], np.ndarray]:
    """Labels such as "r1", a group's code and a number, and each category's bin.

    They go from the fewest to the most training images (or objects). ``categories`` are those of
    categories.csv, in the model's order. A group has at most ``BINS_A_GROUP`` bins of about as
    many categories each; those in no group stand first, as "-1" and so on.
    """
    counts = np.array([category[grouping.count] for category in categories])
    codes = grouping.codes(categories)
    labels: list[str] = []
    bins = np.zeros(len(categories), int)
    for code in (NO_GROUP, *grouping.names):
        members = np.flatnonzero(codes == code)
        members = members[np.argsort(counts[members], kind="stable")]
        parts = min(BINS_A_GROUP, len(members))
        for number, part in enumerate(np.array_split(members, parts) if parts else (), 1):
            bins[part] = len(labels)
            labels.append(f"{code or UNGROUPED}{number}")
    return labels, bins


def group_of(label: str) -> str:
    """The group's code in a bin's label; ``NO_GROUP`` for those in none."""
    return NO_GROUP if label.startswith(UNGROUPED) else label[0]
