"""Total batches: the same for any number of GPUs, every image once, shares of equal size."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.training import batches
from pipeline.training.batches import ShuffledSampler, TotalBatchSampler


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
    assert sorted(i for batch in found for i in batch) == list(range(len(sizes)))
    assert len(found) == len(own)
    upright = [[sizes[i][0] < sizes[i][1] for i in batch] for batch in found]
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
    assert set(alone[-1]) <= set(range(27))


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
