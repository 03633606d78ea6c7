"""Which detections overlap which annotations by half, as boxes or as masks.

IoU is pycocotools' to the last bit: a match at a threshold is decided by it.
"""

import numpy as np

from pipeline.evaluation.average_precision import compressed_masks, engine_truth, mask_areas

HALF = 0.5  # the lowest IoU threshold of AP
PAIRS_AT_ONCE = 2**20


def areas(truth, chosen):
    """[N], in square pixels: of the masks where ``truth`` was read with them, else of the boxes."""
    if truth.segmentation is not None:
        return mask_areas(compressed_masks(truth, chosen))
    sides = chosen.boxes[:, 2:].astype(float)
    return sides[:, 0] * sides[:, 1]


def overlaps(truth, chosen, object_key, detection_key):
    """(detection, object, IoU) of those of equal keys, such as images, that overlap by half."""
    order = np.argsort(object_key, kind="stable")
    start = np.searchsorted(object_key[order], detection_key, "left")
    count = np.searchsorted(object_key[order], detection_key, "right") - start
    iou_of = Boxes(truth, chosen) if truth.segmentation is None else Masks(truth, chosen)
    found = [overlapping(iou_of, order, start, count, rows) for rows in pieces(count)] or [
        (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    ]
    return tuple(map(np.concatenate, zip(*found, strict=True)))


def pieces(count):
    """Runs of detections that have objects, about ``PAIRS_AT_ONCE`` overlaps to compute each."""
    rows = np.flatnonzero(count)
    piece = np.cumsum(count[rows]) // PAIRS_AT_ONCE
    return np.split(rows, np.flatnonzero(np.diff(piece)) + 1) if len(rows) else []


def overlapping(iou_of, order, start, count, rows):
    detection = np.repeat(rows, count[rows])
    first = np.cumsum(count[rows]) - count[rows]
    item = order[np.arange(len(detection)) + np.repeat(start[rows] - first, count[rows])]
    iou = iou_of(detection, item)
    near = iou >= HALF
    return detection[near], item[near], iou[near]


class Boxes:
    """IoU [N] of pairs of a detection and an annotation, given as positions [N]."""

    def __init__(self, truth, chosen):
        self.detected, self.annotated = chosen.boxes, truth.boxes

    def __call__(self, detection, item):
        return box_iou(self.detected[detection].astype(float), self.annotated[item])


class Masks:
    """As ``Boxes``, of the masks; ``detection`` ascends."""

    def __init__(self, truth, chosen):
        from hotcoco import mask

        self.mask = mask
        self.detected, self.annotated = compressed_masks(truth, chosen), annotated_masks(truth)
        self.boxes = [mask.to_bbox(side).reshape(-1, 4) for side in (self.detected, self.annotated)]

    def __call__(self, detection, item):
        """A call of the engine for each detection whose box touches that of a mask."""
        iou = np.zeros(len(detection))
        near = np.flatnonzero(shared_area(self.boxes[0][detection], self.boxes[1][item]))
        starts = np.flatnonzero(np.diff(detection[near], prepend=-1))
        for rows in np.split(near, starts[1:]) if len(near) else ():
            others = [self.annotated[row] for row in item[rows]]
            own = self.detected[detection[rows[0]]]
            iou[rows] = self.mask.iou([own], others, [0] * len(others))[0]
        return iou


def annotated_masks(truth):
    engine = engine_truth(truth)
    return [
        engine.ann_to_rle({"image_id": int(image), "segmentation": segmentation})
        for image, segmentation in zip(truth.image, truth.segmentation, strict=True)
    ]


def box_iou(a, b):
    """IoU [N] of xywh boxes [N, 4], in the order of operations of pycocotools' ``bbIou``."""
    shared = shared_area(a, b)
    return shared / (a[:, 2] * a[:, 3] + b[:, 2] * b[:, 3] - shared)


def shared_area(a, b):
    low, high = np.maximum(a[:, :2], b[:, :2]), np.minimum(a[:, 2:] + a[:, :2], b[:, 2:] + b[:, :2])
    sides = np.maximum(high - low, 0)
    return sides[:, 0] * sides[:, 1]
