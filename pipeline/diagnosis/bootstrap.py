"""LVIS AP of resampled val images: how much of a difference the choice of images explains.

An image drawn w times counts as w images. AP of a category then needs only its correct detections:
at each, the weight of the correct ones and of all counted ones so far give the precision, and the
best precision from there on counts for the recall thresholds that are reached there. The matches
do not change with the weights, so they are made once.
"""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from pipeline.diagnosis.matches import Matches

REPLICATES = 1000
RECALL_THRESHOLDS = np.linspace(0, 1, 101)
NUMBERS_AT_ONCE = 2**17  # of one array: as much as stays in a core's cache


def image_weights(images: int, replicates: int = REPLICATES, seed: int = 0) -> np.ndarray:
    """[R, I]: how often each image is drawn, with replacement; the same for every method."""
    rng = np.random.default_rng(seed)
    draws = (rng.integers(0, images, images) for _ in range(replicates))
    return np.stack([np.bincount(draw, minlength=images) for draw in draws]).astype(np.int32)


def average_precision(matches: Matches, weights: np.ndarray) -> np.ndarray:
    """AP [R, K] of each category under each row of image ``weights`` [R, I]; NaN: no object."""
    by_image = np.ascontiguousarray(weights.T)
    categories = np.arange(len(matches.truth.categories) + 1)
    rows = np.searchsorted(matches.category, categories)
    order = np.argsort(matches.object_category, kind="stable")
    objects = np.searchsorted(matches.object_category[order], categories)

    def of(k):
        images = matches.object_image[order[objects[k] : objects[k + 1]]]
        return category_ap(matches, slice(rows[k], rows[k + 1]), images, weights, by_image)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        return np.stack(list(pool.map(of, categories[:-1])), axis=1)


def category_ap(matches, rows, object_images, weights, by_image):
    """AP [R] of the category of these rows, whose objects are in ``object_images`` [G]."""
    if len(object_images) == 0:
        return np.full(len(weights), np.nan)
    objects = weighted_sums(by_image, object_images, np.zeros(len(object_images), int), 1)[0]
    correct, counted = matches.correct[:, rows], matches.counted[:, rows]
    hits, steady = np.flatnonzero(correct.any(axis=0)), counted.all(axis=0)
    image = matches.image[rows]
    seen = weights_so_far(by_image, image, hits, steady)
    levels, level_of = recall_levels(objects)
    total = np.zeros(len(weights))
    step = max(1, NUMBERS_AT_ONCE // max(1, len(hits)))
    for start in range(0, len(weights), step):
        some = slice(start, start + step)
        for right, judged in zip(correct, counted, strict=True):
            at = np.flatnonzero(right[hits])
            if len(at):
                all_seen = seen[some][:, at]
                sometimes = np.flatnonzero(judged & ~steady)
                if len(sometimes):
                    all_seen = all_seen + extra_seen(weights[some], image, sometimes, hits[at])
                found = np.cumsum(weights[some][:, image[hits[at]]], axis=1)
                total[some] += area(found, all_seen, levels, level_of[some])
    return np.where(objects > 0, total / (len(RECALL_THRESHOLDS) * len(correct)), np.nan)


def weighted_sums(by_image, image, group, groups):
    """[groups, R]: the weights of these images, summed by ``group`` (ascending)."""
    from scipy.sparse import csr_array

    ends = np.searchsorted(group, np.arange(groups + 1))
    ones = np.ones(len(image), by_image.dtype)
    return csr_array((ones, image, ends), shape=(groups, len(by_image))) @ by_image


def weights_so_far(by_image, image, hits, steady):
    """[R, H]: the weight of all always counted detections up to each of the ``hits``."""
    position = np.flatnonzero(steady)
    group = np.searchsorted(hits, position)
    before = group < len(hits)
    sums = weighted_sums(by_image, image[position[before]], group[before], len(hits))
    return np.ascontiguousarray(np.cumsum(sums, axis=0, dtype=sums.dtype).T)


def extra_seen(weights, image, sometimes, hits):
    """[R, H]: the weight of the detections that only this IoU threshold counts."""
    sums = np.cumsum(weights[:, image[sometimes]], axis=1)
    sums = np.concatenate([np.zeros_like(sums[:, :1]), sums], axis=1)
    return sums[:, np.searchsorted(sometimes, hits, "right")]


def recall_levels(objects):
    """How many recall thresholds n of so many objects reach, [U, 1 + the most], and U's row [R].

    Compared are lvis-api's own floats, so that 35 of 100 do not reach its 0.35000000000000003.
    """
    sizes, row = np.unique(objects, return_inverse=True)
    # one below the product, which may be rounded either way
    reach = np.maximum(np.ceil(RECALL_THRESHOLDS * sizes[:, None]).astype(np.int64) - 1, 0)
    for _ in range(2):
        reach += reach / np.maximum(sizes, 1)[:, None] < RECALL_THRESHOLDS
    steps = np.zeros((len(sizes), sizes[-1] + 3), np.uint8)
    np.add.at(steps, (np.arange(len(sizes))[:, None], np.maximum(reach, 1)), 1)
    return np.cumsum(steps, axis=1, dtype=np.uint8), row


def area(found, seen, levels, row):
    """The precisions at the recall thresholds, summed [R].

    ``found`` and ``seen`` [R, H] are the weights of the correct and of all counted detections up
    to each correct one.
    """
    precision = found / np.maximum(seen, 1)
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    level = levels.take(found + row[:, None] * levels.shape[1])
    return np.einsum("rh,rh->r", best, np.diff(level, axis=1, prepend=np.uint8(0)))
