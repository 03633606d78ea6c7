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
    return np.stack([np.bincount(draw, minlength=images) for draw in draws]).astype(np.uint8)


def average_precision(matches: Matches, weights: np.ndarray) -> np.ndarray:
    """AP [R, K] of each category under each row of image ``weights`` [R, I]; NaN: no object."""
    from pipeline.diagnosis.weighted_ap import LANES, weighted_ap

    blocks = [
        np.ascontiguousarray(weights[start : start + LANES].T)
        for start in range(0, len(weights), LANES)
    ]

    def of(category):
        return np.concatenate(
            [weighted_ap(block, *category, RECALL_THRESHOLDS) for block in blocks]
        )

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return np.stack(list(pool.map(of, by_category(matches))), axis=1)


def by_category(matches):
    """What ``weighted_ap`` takes of each category, in order."""
    edges = np.arange(len(matches.truth.categories) + 1)
    rows = np.searchsorted(matches.category, edges)
    order = np.argsort(matches.object_category, kind="stable")
    objects = np.split(
        matches.object_image[order], np.searchsorted(matches.object_category[order], edges[1:-1])
    )
    for start, end, object_image in zip(rows[:-1], rows[1:], objects, strict=True):
        correct, counted = matches.correct[:, start:end], matches.counted[:, start:end]
        always = counted.all(axis=0)
        threshold, slots = np.nonzero(correct | (counted & ~always))
        ends = np.searchsorted(threshold, np.arange(len(correct) + 1))
        right = correct[threshold, slots]
        yield matches.image[start:end], always, object_image, slots, ends, right


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
