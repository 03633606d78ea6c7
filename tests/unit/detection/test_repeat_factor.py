"""Repeat factor sampling: the official codes' numbers, and what every epoch must have."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.index import Index, write_index
from pipeline.detection.samplers.repeat_factor import RepeatFactor, repeat_factors, repeated

LABELS = st.lists(st.lists(st.integers(0, 5), max_size=4), min_size=1, max_size=25)
THRESHOLD = st.floats(0, 1)


@pytest.fixture(scope="module")
def golden(shared):
    arrays = np.load(shared / "golden" / "rivals_small.npz")
    return {key: arrays[key] for key in arrays.files if key.startswith("rfs_")}


def categories(golden):
    images = range(int(golden["rfs_num_images"]))
    return [golden["rfs_category"][golden["rfs_image"] == image].tolist() for image in images]


def test_factors_and_both_roundings_are_the_official_ones(golden):
    factors = repeat_factors(categories(golden), float(golden["rfs_threshold"]))
    np.testing.assert_allclose(factors, golden["rfs_factors"], rtol=1e-12)
    images = np.arange(len(factors))
    assert repeated(images, factors).tolist() == golden["rfs_indices"].tolist()
    drawn = repeated(images, factors, golden["rfs_round_uniform"])
    assert drawn.tolist() == golden["rfs_indices_detectron2"].tolist()


@given(LABELS, THRESHOLD)
def test_factors_by_the_formula(labels, threshold):
    def factor(of_image):
        shares = [sum(c in other for other in labels) / len(labels) for c in of_image]
        return max([1.0, *((threshold / share) ** 0.5 for share in shares)])

    expected = [factor(of_image) for of_image in labels]
    np.testing.assert_allclose(repeat_factors(labels, threshold), expected)


class Table:
    """An index of which only the labels matter."""

    def __init__(self, labels):
        self.of_images = [np.array(of_image, int) for of_image in labels]

    def labels(self):
        return self.of_images

    def with_objects(self):
        return np.array([i for i, labels in enumerate(self.of_images) if len(labels)], int)


@given(LABELS, THRESHOLD, st.sampled_from(["up", "random"]), st.integers(0, 3))
def test_epochs_are_equally_long_and_hold_every_image_with_objects(labels, threshold, how, seed):
    sampler = RepeatFactor(Table(labels), seed, threshold, how)
    epochs = [sampler.draw(epoch) for epoch in range(4)]
    assert len({len(epoch) for epoch in epochs}) == 1
    for number, epoch in enumerate(epochs):
        assert sampler.draw(number).tolist() == epoch.tolist()
        assert all(labels[image] for image in epoch)
        if how == "up":
            assert set(epoch) == {image for image, found in enumerate(labels) if found}


def test_up_repeats_every_image_by_its_factor_rounded_up():
    # category 0 in all four images, category 1 in one: factor sqrt(0.3 / 0.25) = 1.10
    sampler = RepeatFactor(Table([[0], [0], [0, 1], [0], []]), 0, threshold=0.3)
    assert np.bincount(sampler.draw(0)).tolist() == [1, 1, 2, 1]
    assert sampler.draw(0).tolist() != sampler.draw(1).tolist()


def test_random_gives_each_image_its_factor_in_the_long_run():
    sampler = RepeatFactor(Table([[0], [0], [0, 1], [0], []]), 0, 0.45, "random")
    epochs = 3000
    counts = sum(np.bincount(sampler.draw(epoch), minlength=4) for epoch in range(epochs))
    shares = counts / counts.sum()
    np.testing.assert_allclose(shares, sampler.factors / sampler.factors.sum(), rtol=0.03)
    assert sampler.factors[2] == pytest.approx(1.5)


def test_the_index_gives_the_labels_of_each_image(tmp_path):
    boxes = [(7, 30), (9, 10), (7, 10), (7, 30)]
    document = dict(
        images=[{"id": i, "file_name": f"{i}", "width": 9, "height": 9} for i in (7, 8, 9)],
        categories=[{"id": 30}, {"id": 10}],
        annotations=[
            dict(image_id=i, category_id=c, bbox=[0, 0, 2, 2], segmentation=[[0] * 6])
            for i, c in boxes
        ],
    )
    write_index(tmp_path, document)
    index = Index(tmp_path)
    assert [labels.tolist() for labels in index.labels()] == [[1, 0, 1], [], [0]]
    sampler = RepeatFactor(index, 0, 1.0)
    assert set(sampler.draw(0)) == {0, 2}


def test_nothing_is_repeated_where_no_category_is_rare():
    index = SimpleNamespace(labels=lambda: [[0], [0]], with_objects=lambda: np.arange(2))
    assert sorted(RepeatFactor(index, 0, 0.001).draw(5)) == [0, 1]
