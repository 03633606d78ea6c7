"""What kinds of errors cost how much AP50: TIDE (Bolya et al., arXiv 2008.08115), by hotcoco.

Under LVIS's federated annotation only judged pairs count: of each image the detections of its
annotated and of its verified absent categories. So Bkg and Cls are errors that the annotators
could see, and a detection of an unjudged category is no error of any kind. A group is taken alone:
its categories, their objects and their detections; in its row a confusion with a category of
another group has no object to be confused with, and counts as Bkg.
"""

import numpy as np

from pipeline.diagnosis.groups import ALL, members_of_groups
from pipeline.diagnosis.matches import IOU_THRESHOLDS, LARGEST_AREA, judged_detections
from pipeline.evaluation.groupings import LVIS
from pipeline.evaluation.lvis import engine_detections, engine_truth
from pipeline.evaluation.predictions import Predictions
from pipeline.evaluation.truth import Truth


def errors(truth: Truth, predictions: Predictions) -> dict:
    """``{"all": errors, "r": ..., "c": ..., "f": ...}``; None for a group without an object.

    ``AP50``; ``delta``: AP50 won if all errors of a type (Cls, Loc, Both, Dupe, Bkg, Miss, and all
    false positives FP, all missed objects FN) were gone; ``counts`` of the first six.
    """
    chosen = judged_detections(truth, predictions)
    annotated = engine_truth(truth)
    detected = engine_detections(annotated, truth, chosen).cap_detections_per_image(None)
    there = truth.category[truth.area <= LARGEST_AREA]
    objects = np.bincount(there, minlength=len(truth.categories))
    groups = {code: members_of_groups(truth)[code] for code in (ALL, *LVIS.names)}
    return {
        code: tide(annotated, detected, np.flatnonzero(members).tolist(), len(chosen))
        if objects[members].any()
        else None
        for code, members in groups.items()
    }


def tide(annotated, detected, categories, detections):
    from hotcoco import LVISeval

    evaluation = LVISeval(annotated, detected, "bbox")
    evaluation.params.cat_ids = categories
    evaluation.params.iou_thrs = [float(IOU_THRESHOLDS[0])]
    evaluation.params.area_rng, evaluation.params.area_rng_lbl = [[0, LARGEST_AREA]], ["all"]
    evaluation.params.max_dets = [max(1, detections)]
    evaluation.evaluate()
    found = evaluation.tide_errors(pos_thr=float(IOU_THRESHOLDS[0]))
    return {
        "AP50": found["ap_base"],
        "delta": {name: float(value) for name, value in found["delta_ap"].items()},
        "counts": {name: int(value) for name, value in found["counts"].items()},
    }
