"""lvis-api's own numbers, in the keys of this project's metrics."""

import copy
from collections import defaultdict
from unittest.mock import patch

import lvis
import numpy as np

KEYS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "APr", "APc", "APf", "AR@300")


def top_per_category(results, count):
    by_category = defaultdict(list)
    for result in results:
        by_category[result["category_id"]].append(result)
    return [
        result
        for group in by_category.values()
        for result in sorted(group, key=lambda r: r["score"], reverse=True)[:count]
    ]


@patch.object(np, "float", float, create=True)  # lvis 0.5.3 says so; numpy 1.24 removed it
def reference(annotations, results, iou_type, limit=None):
    """(metrics, AP per category) of lvis-api; with ``limit`` those of AP-fixed."""
    results = copy.deepcopy(results)
    if limit is not None:
        results = top_per_category(results, limit)
    if iou_type == "segm":
        for result in results:
            result.pop("bbox", None)
    truth = lvis.LVIS(str(annotations))
    detected = lvis.LVISResults(truth, results, max_dets=300 if limit is None else -1)
    evaluation = lvis.LVISEval(truth, detected, iou_type)
    evaluation.params.max_dets = 300 if limit is None else -1
    evaluation.run()
    found = dict(evaluation.get_results())
    found["AR@300"] = found[f"AR@{evaluation.params.max_dets}"]
    precision = evaluation.eval["precision"][..., 0]
    categories = {
        category: defined_mean(precision[:, :, position])
        for position, category in enumerate(evaluation.params.cat_ids)
    }
    return {key: found[key] if found[key] > -1 else None for key in KEYS}, categories


def defined_mean(values):
    values = values[values > -1]
    return values.mean() if values.size else None
