"""What kinds of errors cost AP: TIDE (Bolya et al., arXiv 2008.08115), by hotcoco.

Under LVIS's annotations only judged detections can be called errors: those of categories that the
image is verified for. Of a group alone the objects of other groups are background, because TIDE
looks at the categories that it is given.
"""

from pathlib import Path

import numpy as np

from pipeline.diagnosis.matches import judged_detections
from pipeline.evaluation.groupings import GROUPINGS, has_counts
from pipeline.evaluation.lvis import engine_detections, engine_truth
from pipeline.files import write_json

ALL = "all"
KINDS = ("Cls", "Loc", "Both", "Dupe", "Bkg", "Miss")


def write_errors(path: Path, truth, predictions, ece: float | None) -> None:
    """Per group its AP50 and, per kind of error, ``delta_ap``, what AP50 would gain without it,
    and ``counts``; ``ece``: the expected calibration error over all."""
    chosen = judged_detections(truth, predictions)
    annotated = engine_truth(truth)
    detected = engine_detections(annotated, truth, chosen).cap_detections_per_image(None)
    groups = {
        code: tide(annotated, detected, members, len(chosen))
        for code, members in members_of_groups(truth).items()
    }
    write_json(path, {"ece": ece, "groups": groups})


def members_of_groups(truth) -> dict[str, list[int]]:
    """code -> positions of its categories, of all groups of all groupings; without empty ones."""
    members = {ALL: list(range(len(truth.categories)))}
    for grouping in GROUPINGS.values():
        if has_counts(grouping, truth.categories):
            codes = grouping.codes(truth.categories)
            members |= {g.code: np.flatnonzero(codes == g.code).tolist() for g in grouping.groups}
    return {code: positions for code, positions in members.items() if positions}


def tide(annotated, detected, categories, detections) -> dict:
    from hotcoco import LVISeval

    evaluation = LVISeval(annotated, detected, "bbox")
    evaluation.params.max_dets = [max(1, detections)]
    evaluation.params.cat_ids = categories
    evaluation.evaluate()
    found = evaluation.tide_errors()
    return {
        "ap50": found["ap_base"],
        "delta_ap": {kind: found["delta_ap"][kind] for kind in KINDS},
        "counts": {kind: found["counts"][kind] for kind in KINDS},
    }
