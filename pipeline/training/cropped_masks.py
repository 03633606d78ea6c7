"""Masks that are never as large as their image, for mmdet's transforms and mask heads."""

from __future__ import annotations

import cv2
import mmcv
import numpy as np
from mmdet.structures.mask import BitmapMasks

from pipeline.data import rle

PADDING = -1


class CroppedMasks:
    """The masks of an image's N objects, in place of mmdet's ``BitmapMasks``, pixel for pixel.

    Each is kept as ``pipeline.data.index`` has it: its box, and its runs within the box. To resize
    (by the nearest neighbour), crop, flip and pad is to choose rows and columns, the same for all
    objects. So only this choice changes: pixel (y, x) shows (``rows[y]``, ``columns[x]``) of what
    was loaded, or nothing where one of them is padding. Pixels are made of single objects, when
    somebody asks for them.
    """

    def __init__(self, objects: list[tuple], rows: np.ndarray, columns: np.ndarray):
        self.objects = objects
        self.rows = rows
        self.columns = columns

    @classmethod
    def loaded(cls, objects: list[tuple], height: int, width: int) -> CroppedMasks:
        """As they are in an image of this size."""
        return cls(objects, np.arange(height), np.arange(width))

    @property
    def height(self) -> int:
        return len(self.rows)

    @property
    def width(self) -> int:
        return len(self.columns)

    def __len__(self):
        return len(self.objects)

    def __getitem__(self, index) -> CroppedMasks:
        """``index``: positions or flags, an array."""
        chosen = [self.objects[k] for k in np.arange(len(self))[index]]
        return CroppedMasks(chosen, self.rows, self.columns)

    def rescale(self, scale) -> CroppedMasks:
        width, height = mmcv.rescale_size((self.width, self.height), scale)
        return self.resize((height, width))

    def resize(self, out_shape) -> CroppedMasks:
        height, width = out_shape
        rows, columns = nearest(self.rows, height), nearest(self.columns, width)
        return CroppedMasks(self.objects, rows, columns)

    def crop(self, bbox) -> CroppedMasks:
        left, top, right, bottom = bbox
        return CroppedMasks(self.objects, self.rows[top:bottom], self.columns[left:right])

    def flip(self, flip_direction) -> CroppedMasks:
        assert flip_direction == "horizontal"
        return CroppedMasks(self.objects, self.rows, self.columns[::-1])

    def pad(self, out_shape, pad_val=0) -> CroppedMasks:
        assert pad_val == 0
        rows, columns = map(padded, (self.rows, self.columns), out_shape)
        return CroppedMasks(self.objects, rows, columns)

    def get_bboxes(self, box_type):
        """The boxes around the pixels that are left; zeros around none."""
        boxes = [bounds(*patch) for patch in self.patches()]
        return box_type(np.array(boxes, np.float32).reshape(-1, 4), clone=False)

    def patches(self) -> list[tuple[int, int, np.ndarray]]:
        """Of each object the place of its top left corner, and its pixels [h, w] from there."""
        return [self.patch(*kept) for kept in self.objects]

    def patch(self, box, runs):
        left, top, right, bottom = box
        y, rows = within(self.rows, top, bottom)
        x, columns = within(self.columns, left, right)
        pixels = rle.decoded(runs, bottom - top, right - left)
        return y, x, pixels.take(rows - top, 0).take(columns - left, 1)

    def to_ndarray(self) -> np.ndarray:
        """[N, height, width], uint8."""
        whole = np.zeros((len(self), self.height, self.width), np.uint8)
        for one, (y, x, pixels) in zip(whole, self.patches(), strict=True):
            one[window(y, x, pixels)] = pixels
        return whole

    def crop_and_resize(self, bboxes, out_shape, inds, **options) -> BitmapMasks:
        """What a mask head learns from; the objects of ``inds`` become as large as their image."""
        used, places = np.unique(inds, return_inverse=True)
        whole = BitmapMasks(self[used].to_ndarray(), self.height, self.width)
        return whole.crop_and_resize(bboxes, out_shape, places, **options)


def nearest(places, length):
    """The rows or columns that OpenCV takes, which it says itself."""
    numbers = np.arange(len(places), dtype=np.int32)[None]
    return places[cv2.resize(numbers, (length, 1), interpolation=cv2.INTER_NEAREST)[0]]


def padded(places, length):
    return np.concatenate([places, np.full(max(length - len(places), 0), PADDING)])


def within(places, low, high):
    """The first of ``places``, which go up or down, that lie from ``low`` to ``high``; and them."""
    (found,) = ((places >= low) & (places < high)).nonzero()
    return (int(found[0]) if len(found) else 0), places[found]


def window(y, x, pixels):
    height, width = pixels.shape
    return slice(y, y + height), slice(x, x + width)


def bounds(y, x, pixels):
    (rows,), (columns,) = pixels.any(1).nonzero(), pixels.any(0).nonzero()
    if not len(rows):
        return 0, 0, 0, 0
    return x + columns[0], y + rows[0], x + columns[-1] + 1, y + rows[-1] + 1
