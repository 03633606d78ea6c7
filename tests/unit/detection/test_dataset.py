"""A training image follows from (seed, epoch, index, repeat) alone, and its boxes stay right."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmdet.registry import DATASETS
from mmengine.registry import init_default_scope

import pipeline.detection
import pipeline.training.transforms  # noqa: F401  (registers ours)
from pipeline.data.index import write_index
from pipeline.data.sources.symbols import Data
from pipeline.files import read_json
from pipeline.params import Augmentation
from pipeline.training import augmentation

SCALE = [96, 96]
DATA = Data(
    name="symbols", source="symbols", categories=8, train_images=10, val_images=2,
    image_size=96,
)  # fmt: skip
COPY_PASTE = Augmentation(scale_jitter=[0.8, 1.25], flip=0.5, copy_paste=100)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    init_default_scope("mmdet")
    out = tmp_path_factory.mktemp("symbols")
    DATA.prepare(out)
    return out


def build(folder, settings=COPY_PASTE, seed=0, ann_file=None, masks=False):
    dataset = dict(
        type="LongTailDataset",
        ann_file=str(ann_file or folder / "index/train"),
        data_prefix=dict(img=str(folder / "images/train")),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=augmentation.load_transforms(settings, SCALE, masks),
    )
    return DATASETS.build(dict(
        type="SeededDataset", dataset=dataset, seed=seed,
        transforms=augmentation.mix_transforms(settings, SCALE, masks),
    ))  # fmt: skip


def content(item):
    instances = item["data_samples"].gt_instances
    boxes = getattr(instances.bboxes, "tensor", instances.bboxes)
    return item["inputs"].numpy().copy(), boxes.numpy().copy(), instances.labels.numpy().copy()


def same(one, other):
    return all(a.shape == b.shape and (a == b).all() for a, b in zip(one, other, strict=True))


def test_an_item_is_the_same_whatever_was_read_before(folder):
    first, second = build(folder), build(folder)
    alone = content(first[7, 0])
    for index in (3, 1, 4):
        second[index, 0]
    np.random.random(5)
    assert same(alone, content(second[7, 0]))


def test_epoch_and_seed_change_the_item(folder):
    dataset, other = build(folder), build(folder, seed=1)
    before = content(dataset[7, 0])
    assert not same(before, content(other[7, 0]))
    dataset.epoch = 1
    assert not same(before, content(dataset[7, 0]))


def test_an_image_that_comes_again_is_augmented_afresh(folder):
    dataset, other = build(folder), build(folder)
    first, second = content(dataset[7, 0]), content(dataset[7, 1])
    assert not same(first, second)
    assert same(second, content(other[7, 1]))


@given(st.lists(st.integers(0, 2**32 - 1), min_size=3, max_size=3))
def test_the_first_time_is_seeded_as_before_there_were_repeats(numbers):
    """numpy fills the seed with zeros, so that trainings without a sampler keep their bits."""
    one, other = np.random.SeedSequence(numbers), np.random.SeedSequence([*numbers, 0])
    assert (one.generate_state(8) == other.generate_state(8)).all()


def test_places_are_those_among_the_images_with_objects(folder, tmp_path):
    document = read_json(folder / "train.json")
    left_out = {image["id"] for image in document["images"][::3]}
    document["annotations"] = [a for a in document["annotations"] if a["image_id"] not in left_out]
    write_index(tmp_path, document)
    dataset = build(folder, ann_file=tmp_path)
    positions = dataset.index.with_objects()
    ids = [document["images"][position]["id"] for position in positions]
    found = [dataset.dataset.get_data_info(i)["img_id"] for i in dataset.places_of(positions)]
    assert found == ids and len(ids) < len(document["images"])
    with pytest.raises(AssertionError, match="left out"):
        dataset.places_of(np.array([0]))


def test_copy_paste_adds_objects_whose_boxes_fit_their_masks(folder):
    plain = build(folder, replace(COPY_PASTE, copy_paste=0))
    pasted = build(folder, masks=True)
    counts = []
    for index in range(len(pasted)):
        instances = pasted[index, 0]["data_samples"].gt_instances
        masks = instances.masks.to_ndarray()
        tight = [
            [c.min(), r.min(), c.max() + 1, r.max() + 1]
            for r, c in (np.nonzero(mask) for mask in masks)
        ]
        boxes = getattr(instances.bboxes, "tensor", instances.bboxes).numpy()
        assert np.abs(boxes - np.array(tight)).max() <= 1
        assert masks.sum(0).max() == 1
        counts.append(len(boxes) - len(plain[index, 0]["data_samples"].gt_instances))
    assert sum(counts) > 0


def test_no_augmentation_gives_the_annotated_boxes(folder):
    dataset = build(folder, Augmentation(flip=0.0))
    info = dataset.dataset.get_data_info(2)
    assert content(dataset[2, 0])[1] == pytest.approx(info["boxes"].astype(np.float32))


def test_labels_follow_ascending_category_ids(folder):
    dataset = build(folder)
    document = read_json(folder / "train.json")
    for index in range(len(dataset)):
        info = dataset.dataset.get_data_info(index)
        of_image = [a for a in document["annotations"] if a["image_id"] == info["img_id"]]
        assert (info["labels"] + 1).tolist() == [
            annotation["category_id"] for annotation in of_image
        ]
