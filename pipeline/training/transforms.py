"""What of mmdet's transforms is done here in other ways, for the same numbers in less time."""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.datasets.transforms import CopyPaste, RandomFlip
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes

from pipeline.data import rle
from pipeline.training.cropped_masks import CroppedMasks, bounds, window


@TRANSFORMS.register_module()
class LoadObjects(BaseTransform):
    """mmdet's ``LoadAnnotations``, from the arrays of the index. ``masks``: load them, too."""

    def __init__(self, masks: bool):
        self.masks = masks

    def transform(self, results: dict) -> dict:
        results["gt_bboxes"] = HorizontalBoxes(results["boxes"].astype(np.float32), clone=False)
        results["gt_bboxes_labels"] = results["labels"].astype(np.int64)
        results["gt_ignore_flags"] = np.zeros(len(results["labels"]), bool)
        if self.masks:
            results["gt_masks"] = CroppedMasks.loaded(results["masks"], *results["ori_shape"])
        return results


@TRANSFORMS.register_module()
class FlipImage(RandomFlip):
    """mmdet's ``RandomFlip`` gives a view that is read from right to left, which takes every reader
    many times as long as to copy it once."""

    def _flip(self, results):
        super()._flip(results)
        results["img"] = cv2.flip(results["img"][:, ::-1], 1)


@TRANSFORMS.register_module()
class PasteObjects(CopyPaste):
    """mmdet's ``CopyPaste`` with its draws, on the pixels of the objects only.

    Args:
        masks: the detector learns from masks; else they end here.
        others: those of mmdet's.
    """

    def __init__(self, masks: bool, **others):
        super().__init__(**others)
        self.masks = masks

    def transform(self, results: dict) -> dict:
        (source,) = results["mix_results"]
        chosen = self._get_selected_inds(len(source["gt_bboxes"]))
        if len(chosen):
            self.paste(results, source, chosen)
        if not self.masks:
            del results["gt_masks"]
        return results

    def paste(self, results, source, chosen):
        pasted = source["gt_masks"][chosen].patches()
        covered = paste_pixels(results["img"], source["img"], pasted)
        left = [
            (y, x, np.greater(pixels, covered[window(y, x, pixels)]).view(np.uint8))
            for y, x, pixels in results["gt_masks"].patches()
        ]
        kept, boxes = self.visible(results["gt_bboxes"], left)
        pasted_boxes = source["gt_bboxes"][chosen]
        results["gt_bboxes"] = pasted_boxes.cat([boxes[kept], pasted_boxes])
        for key in ("gt_bboxes_labels", "gt_ignore_flags"):
            results[key] = np.concatenate([results[key][kept], source[key][chosen]])
        if self.masks:
            patches = [left[k] for k in np.flatnonzero(kept)] + pasted
            results["gt_masks"] = CroppedMasks.loaded([*map(stored, patches)], *covered.shape)

    def visible(self, boxes, patches):
        """Which objects have not lost much or keep enough [N], and the boxes around what is left.

        mmdet's rule, a box that has no pixel but stays where it is included.
        """
        new = np.array([bounds(*patch) for patch in patches], np.float32).reshape(-1, 4)
        new = HorizontalBoxes(new, clone=False)
        moved = (new.tensor - boxes.tensor).abs()
        near = (moved <= self.bbox_occluded_thr).all(dim=-1).numpy()
        areas = np.array([np.count_nonzero(pixels) for _, _, pixels in patches])
        return near | (areas > self.mask_occluded_thr), new


def paste_pixels(image, source, patches):
    """Put ``source`` [H, W, 3] into ``image`` where the patches are; returns these places [H, W]"""
    covered = np.zeros(image.shape[:2], np.uint8)
    for y, x, pixels in patches:
        if not pixels.size:  # OpenCV takes none
            continue
        place = window(y, x, pixels)
        covered[place] |= pixels
        cv2.copyTo(source[place], pixels, image[place])
    return covered


def stored(patch):
    y, x, pixels = patch
    height, width = pixels.shape
    return (x, y, x + width, y + height), rle.encoded(pixels)


@TRANSFORMS.register_module()
class SplitColours(BaseTransform):
    """Colour after colour, as ``PackDetInputs`` wants them and makes them ten times as slowly."""

    def transform(self, results: dict) -> dict:
        colours = np.empty((3, *results["img"].shape[:2]), np.uint8)
        cv2.split(results["img"], [*colours])
        results["img"] = colours.transpose(1, 2, 0)
        return results
