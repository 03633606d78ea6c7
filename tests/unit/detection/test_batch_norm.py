"""Batch norm whose running statistics do not depend on how a step is divided."""

import torch
from torch import nn

from pipeline.detection.batch_norm import StepBatchNorm
from pipeline.detection.step_statistics import one_step


def layers():
    return StepBatchNorm(5, momentum=0.1), nn.BatchNorm2d(5, momentum=0.1)


def test_a_step_of_one_piece_is_batch_norm():
    found, expected = layers()
    for seed in range(3):
        x = batch(seed)
        with one_step(found):
            y = found(x)
        torch.testing.assert_close(y, expected(x))
    torch.testing.assert_close(found.state_dict(), expected.state_dict())


def test_pieces_are_normalised_alone_and_remembered_together():
    found, _ = layers()
    pieces = [batch(seed) for seed in range(4)]
    with one_step(found, pieces=4):
        normed = [found(piece) for piece in pieces]
        assert torch.equal(found.running_mean, torch.zeros(5))  # every piece sees the same
    for y in normed:
        torch.testing.assert_close(y.mean(dim=(0, 2, 3)), torch.zeros(5), atol=1e-6, rtol=0)
    means = torch.stack([piece.mean(dim=(0, 2, 3)) for piece in pieces])
    variances = torch.stack([piece.transpose(0, 1).flatten(1).var(dim=1) for piece in pieces])
    torch.testing.assert_close(found.running_mean, 0.1 * means.mean(dim=0))
    torch.testing.assert_close(found.running_var, 0.9 + 0.1 * variances.mean(dim=0))
    assert found.num_batches_tracked == 1


def test_gradients_are_those_of_batch_norm():
    found, expected = layers()
    x, other = (batch(0).requires_grad_() for _ in range(2))
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(9))
    (found(x) * weights).sum().backward()
    (expected(other) * weights).sum().backward()
    torch.testing.assert_close(x.grad, other.grad)
    torch.testing.assert_close(found.weight.grad, expected.weight.grad)


def test_in_eval_mode_it_reads_what_it_has():
    found, expected = layers()
    expected.load_state_dict(found.state_dict())
    x = batch(0)
    torch.testing.assert_close(found.eval()(x), expected.eval()(x))
    assert torch.equal(found.running_mean, torch.zeros(5))


def batch(seed):
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(2, 5, 4, 4, generator=generator) + torch.arange(5.0)[:, None, None]
