"""Which detections are correct at each IoU threshold, by lvis-api's rules, all images at once.

In an image and category the detections choose in the order of their scores: each takes the free
object that it overlaps most. That is a stable matching in which all objects prefer the better
score, so proposals and rejections find it without going through the detections one by one.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.diagnosis.overlaps import areas, overlaps
from pipeline.evaluation.average_precision import PER_IMAGE, best, judged_pairs, pair
from pipeline.evaluation.predictions import Predictions
from pipeline.evaluation.truth import Truth

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
IOU_50 = 0
LARGEST_AREA = 1e10


@dataclass(frozen=True)
class Matches:
    """The D judged detections of a method, ordered by category and falling score.

    ``image``, ``category`` [D] and ``object_image``, ``object_category`` [G] are positions in the
    ``Truth``'s lists, ``score`` [D]. ``correct`` [T, D]: matched with an object. ``counted``
    [T, D]: correct or a false positive; the others are not held against the method (unmatched
    where the annotation is not exhaustive, or matched with an annotation to ignore). The objects
    are those to be found, without the ignored ones.
    """

    truth: Truth
    image: np.ndarray
    category: np.ndarray
    score: np.ndarray
    correct: np.ndarray
    counted: np.ndarray
    object_image: np.ndarray
    object_category: np.ndarray


def match(truth: Truth, predictions: Predictions) -> Matches:
    """Match the detections that LVIS's AP looks at: the 300 best an image, of judged categories.

    By their masks where ``truth`` was read with them, else by their boxes.
    """
    chosen = judged_detections(truth, predictions)
    ignored = truth.area > LARGEST_AREA
    detection, item, iou = candidates(truth, chosen, ignored)
    to_find = np.append(~ignored, False)  # the last for -1, no object
    lenient = not_held_against(truth, chosen)
    correct = np.zeros((len(IOU_THRESHOLDS), len(chosen)), bool)
    counted = np.zeros_like(correct)
    for row, threshold in enumerate(np.minimum(IOU_THRESHOLDS, 1 - 1e-10)):
        near = iou >= threshold
        taken = assign(detection[near], item[near], len(chosen), len(truth.image))
        correct[row] = (taken >= 0) & to_find[taken]
        counted[row] = correct[row] | ((taken < 0) & ~lenient)
    return Matches(
        truth=truth,
        image=chosen.image,
        category=chosen.category,
        score=chosen.score,
        correct=correct,
        counted=counted,
        object_image=truth.image[~ignored],
        object_category=truth.category[~ignored],
    )


def judged_detections(truth, predictions):
    """In lvis-api's order within a category: by score, then image, then place in the file."""
    rows = best(predictions.image, predictions, PER_IMAGE)
    pairs = pair(predictions.image[rows], predictions.category[rows], truth)
    rows = rows[np.isin(pairs, judged_pairs(truth))]
    chosen = predictions.take(rows)
    chosen = chosen.take(np.flatnonzero(areas(truth, chosen) > 0))
    return chosen.take(np.lexsort((chosen.image, -chosen.score, chosen.category)))


def not_held_against(truth, chosen):
    """Detections that are no false positives even if unmatched."""
    place = {category["id"]: position for position, category in enumerate(truth.categories)}
    partial = [
        position * len(place) + place[identifier]
        for position, image in enumerate(truth.images)
        for identifier in image["not_exhaustive_category_ids"]
        if identifier in place
    ]
    too_large = areas(truth, chosen) > LARGEST_AREA
    return np.isin(pair(chosen.image, chosen.category, truth), partial) | too_large


def candidates(truth, chosen, ignored):
    """(detection, object, IoU) of all that overlap enough to match; each detection's best first.

    Objects to find come before those to ignore; of equal ones lvis-api takes the last.
    """
    pairs = (pair(columns.image, columns.category, truth) for columns in (truth, chosen))
    detection, item, iou = overlaps(truth, chosen, *pairs)
    order = np.lexsort((-item, -iou, ignored[item], detection))
    return detection[order], item[order], iou[order]


def assign(detection, item, detections, items):
    """The object of each detection, -1 for none; a lower number of a detection goes first.

    ``detection`` and ``item`` are the pairs that may match, by detection, its best object first.
    Detections propose to their best object, which keeps the first of them; those refused go on to
    their next.
    """
    ends = np.searchsorted(detection, np.arange(detections + 1))
    proposal, end = ends[:-1].copy(), ends[1:]
    holder = np.full(items, detections)
    free = np.flatnonzero(proposal < end)
    while len(free):
        wanted = item[proposal[free]]
        before = holder[wanted]
        np.minimum.at(holder, wanted, free)
        after = holder[wanted]
        lost = np.unique(before[(before < detections) & (before != after)])
        free = np.concatenate([free[after != free], lost])
        proposal[free] += 1
        free = free[proposal[free] < end[free]]
    taken = np.full(detections, -1)
    held = np.flatnonzero(holder < detections)
    taken[holder[held]] = held
    return taken
