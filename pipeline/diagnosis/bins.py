"""Categories in bins by their training images, within rare, common and frequent.

A matrix of 1,203 x 1,203 categories is no picture; a few bins of each group are.
"""

import numpy as np

BINS_A_GROUP = 6


def frequency_bins(categories: list[dict]) -> tuple[list[str], np.ndarray]:
    """Labels such as "r1", from the fewest to the most training images, and each category's bin.

    ``categories`` are those of categories.csv, in the model's order. A group has at most
    ``BINS_A_GROUP`` bins of about as many categories each.
    """
    counts = np.array([category["image_count"] for category in categories])
    letters = np.array([category["frequency"] for category in categories])
    labels: list[str] = []
    bins = np.zeros(len(categories), int)
    for letter in "rcf":
        members = np.flatnonzero(letters == letter)
        members = members[np.argsort(counts[members], kind="stable")]
        count = min(BINS_A_GROUP, len(members))
        for number, part in enumerate(np.array_split(members, count) if count else ()):
            bins[part] = len(labels)
            labels.append(f"{letter}{number + 1}")
    return labels, bins
