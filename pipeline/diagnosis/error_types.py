"""What kinds of errors cost how much AP50: TIDE (Bolya et al., arXiv 2008.08115), by hotcoco.

Under LVIS's federated annotation only judged pairs count: of each image the detections of its
annotated and of its verified absent categories. So Bkg and Cls are errors that the annotators
could see, and a detection of an unjudged category is no error of any kind.

TIDE's numbers are of all categories together; what becomes of a group's objects, many of which are
taken for categories of other groups, is in ``objects``.
"""

import numpy as np

from pipeline.diagnosis.matches import IOU_THRESHOLDS, LARGEST_AREA, judged_detections
from pipeline.evaluation.average_precision import engine_detections, engine_truth
from pipeline.evaluation.predictions import Predictions
from pipeline.evaluation.truth import Truth

MISSED = ("Miss", "FN")


def errors(truth: Truth, predictions: Predictions) -> dict | None:
    """``AP50``; ``delta``: AP50 won if all errors of a type (Cls, Loc, Both, Dupe, Bkg, Miss, and
    all false positives FP, all missed objects FN) were gone; ``counts`` of the first six. None
    without an object."""
    chosen = judged_detections(truth, predictions)
    there = truth.category[truth.area <= LARGEST_AREA]
    objects = np.bincount(there, minlength=len(truth.categories)) > 0
    if not objects.any():
        return None
    found = tide(truth, chosen)
    base, delta = found["ap_base"], {k: float(v) for k, v in found["delta_ap"].items()}
    undetected = objects & (np.bincount(chosen.category, minlength=len(objects)) == 0)
    for kind in MISSED:
        delta[kind] = without(undetected.sum(), objects.sum(), base + delta[kind]) - base
    return {"AP50": base, "delta": delta, "counts": {k: int(v) for k, v in found["counts"].items()}}


def tide(truth, chosen) -> dict:
    from hotcoco import LVISeval

    annotated = engine_truth(truth)
    detected = engine_detections(annotated, truth, chosen).cap_detections_per_image(None)
    evaluation = LVISeval(annotated, detected, "bbox")
    evaluation.params.iou_thrs = [float(IOU_THRESHOLDS[0])]
    evaluation.params.area_rng, evaluation.params.area_rng_lbl = [[0, LARGEST_AREA]], ["all"]
    evaluation.params.max_dets = [max(1, len(chosen))]
    evaluation.evaluate()
    return evaluation.tide_errors(pos_thr=float(IOU_THRESHOLDS[0]))


def without(undetected, categories, mean):
    """The mean AP over the categories but for the undetected ones, which it has as zeros.

    TIDE mends a missed object by leaving it out; where that was all of a category, it leaves the
    mean. hotcoco 1.3 keeps it in, at 0, so that a category nobody finds would cost nothing.
    """
    return mean * categories / (categories - undetected) if undetected < categories else 1.0
