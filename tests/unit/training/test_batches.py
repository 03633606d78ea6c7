"""Total batches: the same for any number of GPUs, every image once, shares of equal size."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.training import batches
from pipeline.training.batches import (
    DrawnSampler,
    ShuffledSampler,
    TotalBatchSampler,
    effect,
    repeats,
)


class Sizes:
    """A data set of which only the sizes matter."""

    def __init__(self, sizes):
        self.sizes = sizes

    def __len__(self):
        return len(self.sizes)

    def image_size(self, index):
        return self.sizes[index]


def share(monkeypatch, sampler, rank, ranks):
    monkeypatch.setattr(batches, "get_rank", lambda: rank)
    monkeypatch.setattr(batches, "get_world_size", lambda: ranks)
    return list(sampler)


def sampler(sizes, batch_size, parts=1, seed=0):
    return TotalBatchSampler(ShuffledSampler(Sizes(sizes), seed), batch_size, parts)


@given(
    st.lists(st.sampled_from([(3, 4), (4, 3), (5, 5)]), min_size=1, max_size=60),
    st.integers(1, 9),
    st.integers(0, 5),
)
def test_every_image_once_in_batches_of_one_shape(sizes, batch_size, seed):
    own = sampler(sizes, batch_size, seed=seed)
    found = list(own)
    assert sorted(item for batch in found for item in batch) == [(i, 0) for i in range(len(sizes))]
    assert len(found) == len(own)
    upright = [[sizes[i][0] < sizes[i][1] for i, _ in batch] for batch in found]
    assert sum(len(set(shapes)) > 1 for shapes in upright) <= 1
    assert all(len(batch) == batch_size for batch in found[:-1])


@pytest.mark.parametrize(("ranks", "micro_batches"), [(1, 4), (2, 2), (4, 1)])
def test_parts_do_not_depend_on_who_trains_them(monkeypatch, ranks, micro_batches):
    sizes = [(4, 3)] * 27  # the last batch of 3 must be filled up
    alone = share(monkeypatch, sampler(sizes, 8, parts=4), 0, 1)
    expected = [[batch[g::4] for g in range(4)] for batch in alone]
    for rank in range(ranks):
        own = share(monkeypatch, sampler(sizes, 8, parts=4), rank, ranks)
        for step, batch in enumerate(own):
            for number in range(micro_batches):
                assert batch[number::micro_batches] == expected[step][rank + ranks * number]
    assert len(alone[-1]) == 4
    assert set(alone[-1]) <= {(i, 0) for i in range(27)}


def test_the_order_follows_seed_and_epoch():
    one, other = ShuffledSampler(Sizes([(1, 1)] * 20), 0), ShuffledSampler(Sizes([(1, 1)] * 20), 1)
    first = list(one)
    assert first == list(one) != list(other)
    one.set_epoch(1)
    assert list(one) != first


@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 9))
def test_a_resumed_epoch_has_the_batches_that_were_left(images, batch_size, done):
    whole = sampler([(4, 3)] * images, batch_size)
    resumed = sampler([(4, 3)] * images, batch_size)
    resumed.skip = done
    assert list(resumed) == list(whole)[done:]
    assert len(resumed) == len(whole)


# ---- images that a rule draws


class Objects(Sizes):
    """Images of an index, of which every third has no object and is left out of the data set."""

    def __init__(self, images):
        kept = [i for i in range(images) if i % 3]
        super().__init__([(4, 3)] * len(kept))
        self.index = self
        self.kept = np.array(kept)

    def labels(self):
        # the last image alone has category 1
        of_images = [[0] if i % 3 else [] for i in range(self.kept[-1])]
        return [np.array(labels, int) for labels in [*of_images, [0, 1]]]

    def with_objects(self):
        return self.kept

    def places_of(self, positions):
        return np.searchsorted(self.kept, positions)


def drawn(images=12, seed=0):
    return DrawnSampler(Objects(images), seed, dict(type="repeat_factor", threshold=1.0))


def test_a_drawn_image_is_found_among_those_with_objects_and_its_repeats_are_counted():
    sampler = drawn()
    items = list(sampler)
    assert len(items) == len(sampler)
    # of 8 images with objects the last has the factor sqrt(1 / (1 / 12)) = 3.46
    last = sorted(repeat for index, repeat in items if index == 7)
    assert last == [0, 1, 2, 3]
    assert {index for index, _ in items} == set(range(8))
    assert len(set(items)) == len(items)


def test_the_draw_follows_seed_and_epoch():
    sampler = drawn()
    first = list(sampler)
    assert first == list(drawn()) != list(drawn(seed=1))
    sampler.set_epoch(1)
    assert list(sampler) != first
    assert len(list(sampler)) == len(first)


@given(st.integers(4, 40), st.integers(1, 9), st.integers(0, 9))
def test_a_resumed_epoch_has_the_drawn_batches_that_were_left(images, batch_size, done):
    whole = TotalBatchSampler(drawn(images), batch_size)
    resumed = TotalBatchSampler(drawn(images), batch_size)
    resumed.skip = done
    assert list(resumed) == list(whole)[done:]
    assert len(resumed) == len(list(whole))


@pytest.mark.parametrize(("ranks", "micro_batches"), [(1, 4), (2, 2), (4, 1)])
def test_ranks_and_micro_batches_share_what_is_drawn(monkeypatch, ranks, micro_batches):
    alone = share(monkeypatch, TotalBatchSampler(drawn(30), 8, parts=4), 0, 1)
    for rank in range(ranks):
        own = share(monkeypatch, TotalBatchSampler(drawn(30), 8, parts=4), rank, ranks)
        for batch, whole in zip(own, alone, strict=True):
            for number in range(micro_batches):
                assert batch[number::micro_batches] == whole[rank + ranks * number :: 4]


def test_the_effect_is_printed_once(capsys):
    sampler = drawn()
    list(sampler), list(sampler)
    said = capsys.readouterr().out.splitlines()
    assert said == [f"sampler repeat_factor: {effect(sampler.rule.draw(0), 8)}"]
    assert "images an epoch from 8, " in said[0]


def test_the_effect_in_words():
    assert effect(np.array([5, 7, 5, 5]), 3) == (
        "4 images an epoch from 3, 1 of them more than once (at most 3 times), "
        "1 not in the first epoch"
    )


@given(st.lists(st.integers(0, 4), max_size=20))
def test_repeats_count_what_stood_before(numbers):
    expected = [numbers[:place].count(number) for place, number in enumerate(numbers)]
    assert repeats(np.array(numbers, int)).tolist() == expected
