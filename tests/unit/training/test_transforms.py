"""Items equal those of mmdet's own transforms: pixels, boxes, labels and masks, bit for bit."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks
from mmdet_data import training_data
from PIL import Image

from pipeline.data import rle
from pipeline.data.index import write_index
from pipeline.data.masks import runs
from pipeline.data.sources.files import Data, Split
from pipeline.params import Augmentation
from pipeline.training.cropped_masks import CroppedMasks

SAMPLE = "data/lvis_v0.5_sample"
JITTER = dict(scale_jitter=[0.8, 1.25], canvas=[1280, 1280])
LARGE = {
    "multi-scale": Augmentation(short_edges=[640, 800]),
    "jitter": Augmentation(**JITTER),
    "copy-paste": Augmentation(**JITTER, copy_paste=100),
    "shrunk": Augmentation(scale_jitter=[0.1, 0.4], canvas=[333, 200], copy_paste=100),
    "one size": Augmentation(canvas=[320, 240], copy_paste=20),
}


def check_same(ours, theirs, masks):
    assert ours["inputs"].dtype == torch.uint8 and ours["inputs"].is_contiguous()
    assert torch.equal(ours["inputs"].long(), theirs["inputs"].long())
    mine, expected = ours["data_samples"], theirs["data_samples"]
    assert mine.metainfo == expected.metainfo
    for name in ("gt_instances", "ignored_instances"):
        one, other = mine.get(name), expected.get(name)
        assert torch.equal(one.bboxes.tensor, other.bboxes.tensor)
        assert torch.equal(one.labels, other.labels)
        assert ("masks" in one) == masks
        if masks:
            assert np.array_equal(one.masks.to_ndarray(), other.masks.to_ndarray())


def check_all(prepared, images, augment, scale, masks, number):
    ours = training_data(prepared, images, augment, scale, masks)
    theirs = training_data(prepared, images, augment, scale, masks, mmdet=True)
    for index in range(min(number, len(ours))):
        item = ours[index, index % 2]
        check_same(item, theirs[index, index % 2], masks)
        if augment.copy_paste:
            assert [*item["inputs"].shape[:0:-1]] == augment.canvas


@pytest.fixture(scope="module")
def lvis(shared, tmp_path_factory):
    out, folder = tmp_path_factory.mktemp("lvis"), shared / SAMPLE
    split = Split(annotations="lvis_val_66_with_images.json", images=str(folder / "val2017"))
    data = Data(name="lvis", source="files", annotations=str(folder), train=split, val=split)
    data.prepare(out)
    return out, folder / "val2017"


@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("name", LARGE)
def test_real_photos(name, masks, lvis):
    check_all(*lvis, LARGE[name], [1333, 800], masks, number=16)


WIDTH, HEIGHT = 37, 29


@st.composite
def polygons(draw):
    """One or more parts that may reach out of the image, be thin, or have no pixel at all."""
    number = st.floats(-4, 41, width=32) | st.integers(0, 37)
    part = st.lists(number, min_size=6, max_size=12).filter(lambda p: len(p) % 2 == 0)
    return draw(st.lists(part, min_size=1, max_size=3))


@st.composite
def crowds(draw):
    """An RLE of few or many runs: rings with holes, whole images, single pixels."""
    ends = draw(st.lists(st.integers(0, WIDTH * HEIGHT), max_size=14))
    runs = np.diff([0, *sorted(ends), WIDTH * HEIGHT])
    return {"size": [HEIGHT, WIDTH], "counts": runs.tolist()}


@st.composite
def documents(draw):
    annotations = []
    for image in (1, 2, 3):
        for mask in draw(st.lists(polygons() | crowds(), max_size=6)):
            x, y = draw(st.integers(0, WIDTH - 1)), draw(st.integers(0, HEIGHT - 1))
            width, height = draw(st.floats(1, WIDTH - x)), draw(st.floats(1, HEIGHT - y))
            annotations.append(dict(
                image_id=image, category_id=draw(st.integers(1, 3)),
                bbox=[x, y, width, height], segmentation=mask,
            ))  # fmt: skip
    return dict(
        images=[dict(id=i, file_name=f"{i}.png", width=WIDTH, height=HEIGHT) for i in (1, 2, 3)],
        annotations=annotations,
        categories=[dict(id=c) for c in (1, 2, 3)],
    )


AUGMENTATIONS = st.builds(
    Augmentation,
    scale_jitter=st.sampled_from([[1.0, 1.0], [0.1, 0.6], [0.5, 3.0]]),
    canvas=st.sampled_from([[37, 29], [50, 64], [33, 32]]),
    flip=st.sampled_from([0.0, 0.5]),
    copy_paste=st.sampled_from([0, 3, 100]),
)


@given(documents(), AUGMENTATIONS, st.booleans())
@settings(deadline=None, max_examples=150)
def test_any_shapes(tmp_path_factory, document, augment, masks):
    folder = tmp_path_factory.mktemp("shapes")
    write_index(folder / "index/train", document)
    (folder / "train.json").write_text(json.dumps(document))
    for image in document["images"]:
        pixels = np.random.default_rng(image["id"]).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
        Image.fromarray(pixels).save(folder / image["file_name"])
    check_all(folder, folder, augment, [WIDTH, HEIGHT], masks, number=3)


STEPS = st.one_of(
    st.tuples(st.sampled_from(["resize", "pad"]), st.tuples(*[st.integers(1, 60)] * 2)),
    st.tuples(st.just("crop"), st.tuples(*[st.floats(0, 0.9)] * 4)),
    st.tuples(st.just("flip"), st.just("horizontal")),
    st.tuples(st.just("__getitem__"), st.just(np.array([2, 0, 1]))),
)


@given(st.lists(polygons() | crowds(), min_size=3, max_size=3), st.lists(STEPS, max_size=6))
@settings(deadline=None, max_examples=300)
def test_each_step_does_to_crops_what_it_does_to_bitmaps(segmentations, steps):
    stored = [rle.cropped(runs(mask, [HEIGHT, WIDTH]), HEIGHT) for mask in segmentations]
    ours = CroppedMasks.loaded(stored, HEIGHT, WIDTH)
    theirs = BitmapMasks(ours.to_ndarray(), HEIGHT, WIDTH)
    for name, value in steps:
        if name == "crop":
            value = corners(value, ours)
        if name == "pad":
            value = (ours.height + value[0], ours.width + value[1])
        ours, theirs = getattr(ours, name)(value), getattr(theirs, name)(value)
    assert (ours.height, ours.width) == (theirs.height, theirs.width)
    assert np.array_equal(ours.to_ndarray(), theirs.masks)
    boxes = ours.get_bboxes(HorizontalBoxes).tensor
    assert torch.equal(boxes, theirs.get_bboxes(HorizontalBoxes).tensor)
    inds = np.array([2, 0, 0])  # as a mask head asks: proposals, each with its object
    around = torch.tensor([[0.0, 0.0, 9.3, 20.0], [-3.0, 4.0, 30.0, 33.5], [2.0, 2.0, 5.0, 5.0]])
    asked = dict(device="cpu", inds=inds)
    targets = [masks.crop_and_resize(around, (14, 14), **asked) for masks in (ours, theirs)]
    assert np.array_equal(targets[0].to_ndarray(), targets[1].to_ndarray())


def corners(shares, masks):
    """A box of at least a pixel, of shares of the width and height."""
    x0, y0, x1, y1 = np.multiply(shares, [masks.width, masks.height] * 2).astype(int)
    return np.array([x0, y0, max(x0 + 1, x1), max(y0 + 1, y1)])
