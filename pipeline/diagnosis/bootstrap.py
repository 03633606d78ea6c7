"""LVIS AP of resampled val images: how much of a difference the choice of images explains.

An image drawn w times counts as w images. The matches do not change with the weights, so they are
made once; what is left for each replicate is one walk over the correct detections of a category.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd

from pipeline.diagnosis.matches import Matches
from pipeline.evaluation.groupings import LVIS, SIMCAL, has_counts

REPLICATES = 1000
RECALL_THRESHOLDS = np.linspace(0, 1, 101)


def image_weights(images: int, replicates: int = REPLICATES, seed: int = 0) -> np.ndarray:
    """[R, I]: how often each image is drawn, with replacement; the same for every method."""
    rng = np.random.default_rng(seed)
    draws = (rng.integers(0, images, images) for _ in range(replicates))
    return np.stack([np.bincount(draw, minlength=images) for draw in draws]).astype(np.uint16)


def average_precision(matches: Matches, weights: np.ndarray) -> np.ndarray:
    """AP [R, K] of each category under each row of image ``weights`` [R, I]; NaN: no object."""
    categories = np.arange(len(matches.truth.categories) + 1)
    rows = np.searchsorted(matches.category, categories)
    order = np.argsort(matches.object_category, kind="stable")
    objects = np.searchsorted(matches.object_category[order], categories)

    def of(k):
        images = matches.object_image[order[objects[k] : objects[k + 1]]]
        return category_ap(matches, slice(rows[k], rows[k + 1]), images, weights)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return np.stack(list(pool.map(of, categories[:-1])), axis=1)


def category_ap(matches, rows, object_images, weights):
    """AP [R] of the category of these rows, whose objects are in ``object_images`` [G]."""
    from pipeline.diagnosis.weighted_ap import weighted_ap

    if len(object_images) == 0:
        return np.full(len(weights), np.nan)
    correct, counted = matches.correct[:, rows], matches.counted[:, rows]
    always = counted.all(axis=0)
    events = [np.flatnonzero(c | (j & ~always)) for c, j in zip(correct, counted, strict=True)]
    ends = np.cumsum([0, *map(len, events)])
    events = np.concatenate(events)
    right = np.concatenate([c[e] for c, e in zip(correct, np.split(events, ends[1:-1]))])
    return weighted_ap(
        weights, matches.image[rows], always, object_images, events, right, ends, RECALL_THRESHOLDS
    )


def replicates(matches: Matches) -> pd.DataFrame:
    """AP, APr, APc, APf (and SimCal's where the categories have counts): one row a replicate.

    The draws depend on the number of images alone, so rows of two methods with the same val images
    belong together: their difference is the difference on the same drawn images.
    """
    per_category = average_precision(matches, image_weights(len(matches.truth.images)))
    columns = {"AP": defined_mean(per_category)}
    groupings = [LVIS, *([SIMCAL] if has_counts(SIMCAL, matches.truth.categories) else [])]
    for grouping in groupings:
        codes = grouping.codes(matches.truth.categories)
        columns |= {g.key: defined_mean(per_category[:, codes == g.code]) for g in grouping.groups}
    return pd.DataFrame(columns)


def defined_mean(values):
    """Mean over the columns that are not NaN; NaN where all are."""
    defined = ~np.isnan(values)
    count = defined.sum(axis=1)
    return np.where(defined, values, 0).sum(axis=1) / np.where(count, count, np.nan)
