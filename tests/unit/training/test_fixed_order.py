"""Sums whose order does not depend on how many processes share the terms."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pipeline.training.fixed_order import FixedOrderOptimWrapper, lane_count, tree_sum


def numbers(count, seed=0):
    """Whose sum depends on the order, in float32."""
    generator = torch.Generator().manual_seed(seed)
    return [[torch.randn(200, generator=generator) * 10 ** (k % 6)] for k in range(count)]


@given(exponent=st.integers(0, 4), odd=st.sampled_from([1, 3, 5]), seed=st.integers(0, 99))
def test_ranks_that_have_every_nth_term_come_to_the_same_sum(exponent, odd, seed):
    count = odd * 2**exponent
    whole = tree_sum(in_lanes(numbers(count, seed)))
    for ranks in (1, 2, 4):
        if count % ranks == 0:
            shares = [numbers(count, seed)[rank::ranks] for rank in range(ranks)]
            together = tree_sum([tree_sum(in_lanes(share)) for share in shares])
            assert torch.equal(together[0], whole[0])


def in_lanes(terms):
    """As autograd adds them up: term n to those before it in its lane."""
    lanes = lane_count(len(terms))
    sums = terms[:lanes]
    for number, term in enumerate(terms[lanes:], start=lanes):
        sums[number % lanes] = [sums[number % lanes][0] + term[0]]
    return sums


def test_the_order_matters_for_these_numbers():
    in_turn = sum(term for (term,) in numbers(8))
    assert not torch.equal(in_turn, tree_sum(in_lanes(numbers(8)))[0])


@pytest.mark.parametrize(("pieces", "lanes"), [(1, 1), (2, 1), (3, 1), (4, 2), (8, 4), (12, 4)])
def test_pieces_share_lanes(pieces, lanes):
    assert lane_count(pieces) == lanes


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("pieces", [1, 2, 3, 4, 8])
def test_a_step_is_the_one_of_the_mean_loss(pieces, memory_format):
    torch.manual_seed(0)
    images = torch.randn(2 * pieces, 3, 5, 5)
    found, expected = (network().to(memory_format=memory_format) for _ in range(2))
    wrapper = FixedOrderOptimWrapper(sgd(found), accumulative_counts=pieces)
    optimizer = sgd(expected)
    for _ in range(3):
        for piece in images.chunk(pieces):
            wrapper.update_params(found(piece).square().mean())
        expected(images).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    for name, value in expected.state_dict().items():
        torch.testing.assert_close(found.state_dict()[name], value)


def test_what_no_piece_reaches_stays():
    model = network()
    before = model[2].weight.clone()
    wrapper = FixedOrderOptimWrapper(
        torch.optim.SGD(model.parameters(), lr=0.1), accumulative_counts=2
    )
    for _ in range(2):
        wrapper.update_params(model[0](torch.randn(1, 3, 5, 5)).square().mean())
    assert torch.equal(model[2].weight, before)


def test_what_is_frozen_does_not_decay():
    model = network()
    model[0].requires_grad_(False)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    wrapper = FixedOrderOptimWrapper(sgd(model), accumulative_counts=2)
    for _ in range(2):
        wrapper.update_params(model(torch.randn(1, 3, 5, 5)).square().mean())
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed == {"2.weight", "2.bias"}


def network():
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 2))


def sgd(model):
    return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
