"""LVIS average precision with hotcoco as the engine, equal to lvis-api within 1e-9.

AP follows lvis-api (Gupta et al., arXiv 1908.03195): of each image the 300 detections of highest
score over all categories, and only those of categories that the image is verified for. AP-fixed
(Dave et al., arXiv 2102.01066; large-vocab-devil: scripts/evaluate_ap_fixed.py) has no limit an
image; it keeps the 10,000 detections of highest score of each category over the data set.

One difference from lvis-api is wanted: it takes a match with an annotation of id 0 for none, here
it is a match.
"""

from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.groupings import LVIS, SIMCAL, has_counts
from pipeline.evaluation.predictions import Predictions
from pipeline.evaluation.truth import Truth

PER_IMAGE = 300
PER_CATEGORY = 10_000
ALL, SMALL, MEDIUM, LARGE = range(4)
IOU_50, IOU_75 = 0, 5
FIXED = "fixed/"


@dataclass(frozen=True)
class Evaluation:
    """``metrics``: flat keys, fractions or None. ``categories``: one dict a category."""

    metrics: dict[str, float | None]
    categories: list[dict]


def evaluate(truth: Truth, predictions: Predictions, iou_type: str = "bbox") -> Evaluation:
    """AP, AP50, AP75, APs, APm, APl, APr, APc, APf, AR@300, and the same under ``fixed/``.

    Where the categories carry ``instance_count``, also AP of SimCal's bins, ``simcal/AP1`` to
    ``simcal/AP4``. ``fixed/AR@300`` keeps the name although AP-fixed has no limit of 300. None
    stands where the data has nothing to measure (no annotation of such a frequency or area).
    """
    judged = judged_pairs(truth)
    standard = run(truth, predictions, best(predictions.image, predictions, PER_IMAGE), judged)
    fixed = run(truth, predictions, best(predictions.category, predictions, PER_CATEGORY), judged)
    summary = summarize(truth, *standard)
    summary.update({FIXED + key: value for key, value in summarize(truth, *fixed).items()})
    return Evaluation(summary, per_category(truth, standard[0], fixed[0]))


def best(group, predictions, count):
    """Rows of the ``count`` highest scores of each group, in file order; ties keep file order."""
    if len(predictions) == 0 or np.bincount(group).max() <= count:
        return np.arange(len(predictions))
    order = np.lexsort((-predictions.score, group))
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    sizes = np.diff(starts, append=len(order))
    rank = np.arange(len(order)) - np.repeat(starts, sizes)
    return np.sort(order[rank < count])


def judged_pairs(truth):
    """The (image, category) pairs that are annotated or verified absent, as one number each."""
    category = {item["id"]: position for position, item in enumerate(truth.categories)}
    negative = [
        position * len(category) + category[identifier]
        for position, image in enumerate(truth.images)
        for identifier in image["neg_category_ids"]
        if identifier in category
    ]
    present = pair(truth.image, truth.category, truth)
    return np.unique(np.concatenate([present, np.array(negative, np.int64)]))


def pair(image, category, truth):
    return image.astype(np.int64) * len(truth.categories) + category


def run(truth, predictions, rows, judged):
    """Precision [T, R, K, A] and recall [T, K, A] of these rows; -1 where undefined.

    The engine skips detections that nothing is known about; leaving them out beforehand saves
    most of its memory.
    """
    from hotcoco import LVISeval

    pairs = pair(predictions.image[rows], predictions.category[rows], truth)
    chosen = predictions.take(rows[np.isin(pairs, judged)])
    annotated = engine_truth(truth)
    detected = engine_detections(annotated, truth, chosen).cap_detections_per_image(None)
    evaluation = LVISeval(annotated, detected, "bbox" if truth.segmentation is None else "segm")
    # hotcoco 1.3 also cuts each image and category at max_dets; the rows are chosen already
    evaluation.params.max_dets = [max(1, len(chosen))]
    evaluation.evaluate()
    evaluation.accumulate()
    result = evaluation.eval
    return result["precision"][..., 0], result["recall"][..., 0]


def engine_truth(truth):
    """The ground truth for hotcoco, with positions as ids.

    ``iscrowd`` stays behind: LVIS has no crowds, and lvis-api does not look at the flag.
    """
    from hotcoco import COCO

    place = {category["id"]: position for position, category in enumerate(truth.categories)}
    images = [
        {
            "id": position,
            "height": image.get("height", 0),
            "width": image.get("width", 0),
            "neg_category_ids": known(image["neg_category_ids"], place),
            "not_exhaustive_category_ids": known(image["not_exhaustive_category_ids"], place),
        }
        for position, image in enumerate(truth.images)
    ]
    categories = [
        {"id": position, "name": str(position), "frequency": category["frequency"]}
        for position, category in enumerate(truth.categories)
    ]
    return COCO.from_arrays(
        images,
        categories,
        truth.image,
        truth.category,
        truth.boxes,
        area=truth.area,
        segmentation=truth.segmentation,
    )


def known(identifiers, place):
    return [place[identifier] for identifier in identifiers if identifier in place]


def engine_detections(annotated, truth, predictions):
    """The detections for hotcoco; like lvis-api without those that have no area."""
    masks = None if truth.segmentation is None else compressed_masks(truth, predictions)
    boxes = predictions.boxes.astype(float) if masks is None else np.zeros((len(masks), 4))
    area = boxes[:, 2] * boxes[:, 3] if masks is None else mask_areas(masks)
    rows = np.flatnonzero(area > 0)
    columns = [predictions.image, *boxes.T, predictions.score, predictions.category]
    table = np.stack([column[rows].astype(float) for column in columns], axis=1)
    if masks is None:
        return annotated.load_res(table)
    detected = annotated.load_res(table, segmentation=[masks[row] for row in rows])
    detected.update_anns(ids=np.arange(1, len(rows) + 1), area=area[rows])
    return detected


def compressed_masks(truth, predictions):
    sizes = [[truth.images[i]["height"], truth.images[i]["width"]] for i in predictions.image]
    counts = predictions.masks.to_pylist()
    return [{"size": size, "counts": text} for size, text in zip(sizes, counts, strict=True)]


def mask_areas(masks):
    from hotcoco import mask

    return np.asarray(mask.area(masks), float).reshape(-1)


def summarize(truth, precision, recall):
    """lvis-api's ``LVISEval.summarize``: means over what is defined."""
    metrics = {
        "AP": mean(precision[..., ALL]),
        "AP50": mean(precision[IOU_50, ..., ALL]),
        "AP75": mean(precision[IOU_75, ..., ALL]),
        "APs": mean(precision[..., SMALL]),
        "APm": mean(precision[..., MEDIUM]),
        "APl": mean(precision[..., LARGE]),
    }
    metrics.update(group_means(LVIS, truth, precision))
    metrics[f"AR@{PER_IMAGE}"] = mean(recall[..., ALL])
    if has_counts(SIMCAL, truth.categories):
        metrics.update(group_means(SIMCAL, truth, precision))
    return metrics


def group_means(grouping, truth, precision):
    codes = grouping.codes(truth.categories)
    return {g.key: mean(precision[:, :, codes == g.code, ALL]) for g in grouping.groups}


def per_category(truth, precision, fixed_precision):
    return [
        {
            "category_id": category["id"],
            "name": category.get("name"),
            "frequency": category["frequency"],
            "image_count": category.get("image_count"),
            "instance_count": category.get("instance_count"),
            "AP": mean(precision[:, :, position, ALL]),
            "AP50": mean(precision[IOU_50, :, position, ALL]),
            "fixed_AP": mean(fixed_precision[:, :, position, ALL]),
        }
        for position, category in enumerate(truth.categories)
    ]


def mean(values):
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else None
