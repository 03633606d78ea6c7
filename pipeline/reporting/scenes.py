"""Which val images the gallery shows, and which boxes of them: truth and each method's detections.

The rule, which the page states too: an image scores, for one method and one group of categories,
the mean over its objects of the group of the score of the best correct drawn detection (0: not
found). Its change is that of the last method minus that of the baseline. Images with objects of the
rarest group come first, the largest change (up or down) first; then those of the next group.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from pipeline.evaluation.predictions import has_masks
from pipeline.reporting.ground_truth import with_corners
from pipeline.reporting.load import Inputs
from pipeline.reporting.outlines import Outline, compressed, outline, whole_mask

EXTRA = 2
MOST = 15
MATCH_IOU = 0.5
CORNERS = ["x0", "y0", "x1", "y1"]


@dataclass(frozen=True)
class Box:
    """``verdict``: truth, correct, wrong, or unjudged: nobody looked for this category here.

    ``group`` is the code of the category's group; ``outline`` the mask's, () without a mask.
    """

    name: str
    group: str
    corners: tuple[float, float, float, float]
    verdict: str = "truth"
    score: float | None = None
    outline: Outline = ()


@dataclass(frozen=True)
class Scene:
    """One val image: the LVIS record, the objects, and per method the drawn detections."""

    image: dict
    truth: list[Box]
    detections: dict[str, list[Box]]


def scenes(inputs: Inputs) -> list[Scene]:
    """The ``report.gallery_images`` images of the rule, the most changed first."""
    truth = inputs.truth
    chosen = choose(inputs, truth)
    paths = {m: inputs.predictions(m) for m in inputs.methods}
    masked = any(has_masks(path) for path in paths.values())
    drawn = {m: drawn_detections(path, truth, chosen, masked) for m, path in paths.items()}
    return [
        Scene(
            truth.images[i],
            truth_boxes(truth, i, masked),
            {m: judged(truth, i, table[table.image_id == i]) for m, table in drawn.items()},
        )
        for i in chosen
    ]


def choose(inputs, truth) -> list[int]:
    """Ids of val images by the rule; ties go to more objects of the group, then to the lower id."""
    chosen: list[int] = []
    for code in inputs.grouping.names:
        wanted = inputs.params.report.gallery_images - len(chosen)
        objects = truth.objects[
            (truth.objects.group == code) & ~truth.objects.image_id.isin(chosen)
        ]
        if wanted > 0 and len(objects):
            chosen += ranked(inputs, truth, objects)[:wanted]
    return chosen


def ranked(inputs, truth, objects) -> list[int]:
    ids = sorted(objects.image_id.unique().tolist())
    change = pd.Series(0.0, index=ids)
    for method, sign in ((inputs.challenger, 1), (inputs.baseline, -1)):
        if method:
            detections = drawn_detections(inputs.predictions(method), truth, ids)
            change = change.add(sign * found_scores(objects, detections), fill_value=0)
    sizes = objects.groupby("image_id").size()
    order = pd.DataFrame({"change": (change / sizes).abs().round(9), "objects": sizes, "id": ids})
    order = order.sort_values(["change", "objects", "id"], ascending=[False, False, True])
    return order.id.tolist()


def drawn_detections(path, truth, ids, masked=False) -> pd.DataFrame:
    """The best-scored detections of these images: objects + ``EXTRA`` each, ``MOST`` at most.

    ``masked`` adds the column ``rle`` where the file has it.
    """
    columns = ["image_id", "category_id", "x", "y", "w", "h", "score"]
    columns += ["rle"] if masked and has_masks(path) else []
    table = pd.read_parquet(path, columns=columns, filters=[("image_id", "in", list(ids))])
    unknown = set(table.category_id) - set(truth.names)
    if unknown:
        raise ValueError(
            f"{path} has category {min(unknown)}, which the val annotations lack; "
            f"run: dvc repro --force predict@{path.stem}"
        )
    table = table.sort_values(["image_id", "score"], ascending=[True, False], kind="stable")
    limit = truth.objects.groupby("image_id").size().add(EXTRA).clip(upper=MOST)
    rank = table.groupby("image_id").cumcount()
    table = table[rank < table.image_id.map(limit).fillna(EXTRA)]
    return with_corners(table.astype(dict.fromkeys("xywh", float)))


def found_scores(objects, detections) -> pd.Series:
    """Per image the sum over its ``objects`` of the score of each one's best correct detection."""
    pairs = objects.reset_index().merge(
        detections, on=["image_id", "category_id"], suffixes=("", "_d")
    )
    overlap = iou(pairs[CORNERS].to_numpy(), pairs[[f"{c}_d" for c in CORNERS]].to_numpy())
    best = pairs[overlap >= MATCH_IOU].groupby(["image_id", "index"]).score.max()
    return best.groupby("image_id").sum()


def iou(a, b):
    """Of boxes (..., 4) as corners, broadcast; 0 for boxes without an area."""
    shared = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = shared.clip(min=0).prod(-1)
    area = (a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - shared
    return np.divide(shared, area, out=np.zeros(shared.shape), where=area > 0)


def truth_boxes(truth, image_id, masked=False) -> list[Box]:
    own, image = truth.objects[truth.objects.image_id == image_id], truth.images[image_id]
    outlines = [
        outline(whole_mask(truth.segmentations[i], image)) if masked else () for i in own.index
    ]
    return [
        box(truth, row.category_id, row, outline=line)
        for row, line in zip(own.itertuples(), outlines, strict=True)
    ]


def box(truth, category, row, **rest) -> Box:
    corners = (row.x0, row.y0, row.x1, row.y1)
    return Box(truth.names[category], truth.groups[category], corners, **rest)


def judged(truth, image_id, detections) -> list[Box]:
    """The detections of one image, best first, each with its verdict."""
    image = truth.images[image_id]
    own = truth.objects[truth.objects.image_id == image_id]
    verified = {*own.category_id, *image.get("neg_category_ids", ())}
    verified -= set(image.get("not_exhaustive_category_ids", ()))
    boxes = []
    for row in detections.itertuples():
        same = own[own.category_id == row.category_id][CORNERS].to_numpy(float)
        corners = np.array([row.x0, row.y0, row.x1, row.y1])
        verdict = "wrong" if row.category_id in verified else "unjudged"
        if (iou(same, corners) >= MATCH_IOU).any():
            verdict = "correct"
        line = outline(compressed(row.rle, image)) if "rle" in detections else ()
        drawn = dict(verdict=verdict, score=float(row.score), outline=line)
        boxes.append(box(truth, row.category_id, row, **drawn))
    return boxes


def found(scene, method) -> int:
    """How many objects of the scene have a correct drawn detection of the method."""
    hits = [b for b in scene.detections[method] if b.verdict == "correct"]
    return sum(
        any(
            t.name == h.name and iou(np.array(t.corners), np.array(h.corners)) >= MATCH_IOU
            for h in hits
        )
        for t in scene.truth
    )
