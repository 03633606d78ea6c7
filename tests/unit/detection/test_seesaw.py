"""Seesaw against a slow reference from the paper; its counts. Its golden arrays: test_rivals.py."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.registry import MODELS

import pipeline.detection  # noqa: F401
from pipeline.detection.step_statistics import one_step

CLASSES = 5


def build(**arguments):
    return MODELS.build(dict(type="seesaw", num_classes=CLASSES, **arguments)).double()


def batch(seed, rows, background=0.5):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(rows, CLASSES + 2, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, CLASSES, (rows,), generator=generator)
    is_background = torch.rand(rows, generator=generator) < background
    return logits, torch.where(is_background, CLASSES, labels)


def value_of(loss, *arguments, **keywords):
    return sum(loss(*arguments, **keywords).values())


def reference(loss, logits, labels, counts):
    """Row by row and class by class, in plain Python; ``counts`` [C] with the rows themselves."""
    total = 0.0
    for z, own in zip(logits.tolist(), labels.tolist(), strict=True):
        objectness = z[CLASSES:]
        wanted = objectness[1] if own == CLASSES else objectness[0]
        total += math.log(sum(map(math.exp, objectness))) - wanted
        if own == CLASSES:
            continue
        score = [math.exp(x) / sum(map(math.exp, z[:CLASSES])) for x in z[:CLASSES]]
        terms = 0.0
        for j, x in enumerate(z[:CLASSES]):
            ratio = max(counts[j], 1) / max(counts[own], 1)
            mitigation = ratio**loss.p if ratio < 1 else 1.0
            excess = score[j] / max(score[own], loss.eps)
            compensation = excess**loss.q if excess > 1 else 1.0
            terms += math.exp(x) * (1.0 if j == own else mitigation * compensation)
        total += math.log(terms) - z[own]
    return total / len(labels)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(1, 30),
    background=st.sampled_from([0.0, 0.5, 1.0]),
    p=st.floats(0, 2),
    q=st.floats(0, 3),
    eps=st.sampled_from([1e-3, 0.01, 0.5]),
)
def test_equals_the_reference(seed, rows, background, p, q, eps):
    loss, counts = build(p=p, q=q, eps=eps), torch.zeros(CLASSES + 1)
    for step in range(3):
        logits, labels = batch(seed + step, rows, background)
        counts += torch.bincount(labels, minlength=CLASSES + 1)
        expected = reference(loss, logits, labels, counts.tolist())
        assert value_of(loss, logits, labels).item() == pytest.approx(expected, rel=1e-9)
        assert loss.cum_samples.tolist() == counts.tolist()


def test_a_step_in_pieces_is_one_step():
    """Statistics change at its end: two micro-batches learn what one batch does."""
    whole, pieces = build(), build()
    for seed in range(3):
        logits, labels = batch(seed, 20)
        with one_step(whole):
            expected = value_of(whole, logits, labels, avg_factor=20)
        with one_step(pieces):
            parts = [
                value_of(pieces, logits[half], labels[half], avg_factor=20)
                for half in (slice(8), slice(8, 20))
            ]
        torch.testing.assert_close(sum(parts), expected)
        assert torch.equal(pieces.cum_samples, whole.cum_samples)
    assert whole.cum_samples.sum() == 60


def test_rows_of_weight_zero_are_not_there():
    logits, labels = batch(0, 20, background=0.2)
    weight = (torch.arange(20) % 3 > 0).double()
    logits.requires_grad_()
    masked, shorter = build(), build()
    for _ in range(2):
        value = value_of(masked, logits, labels, weight)
        expected = value_of(shorter, logits[weight > 0], labels[weight > 0])
        torch.testing.assert_close(value, expected)
    assert torch.equal(masked.cum_samples, shorter.cum_samples)
    value.backward()
    assert logits.grad[weight == 0].abs().max() == 0


def test_goes_on_from_a_checkpoint_bit_for_bit():
    loss, resumed = build(), build()
    value_of(loss, *batch(0, 20))
    resumed.load_state_dict(loss.state_dict())
    assert torch.equal(value_of(resumed, *batch(1, 20)), value_of(loss, *batch(1, 20)))
    assert torch.equal(resumed.cum_samples, loss.cum_samples)


def test_logits_of_half_precision_are_computed_in_float32():
    logits, labels = batch(0, 40)
    logits = (10 * logits).half()
    loss = build().float()
    with torch.autocast("cpu", torch.bfloat16):
        value = value_of(loss, logits, labels)
    assert value.dtype == torch.float32
    assert torch.equal(value, value_of(build().float(), logits.float(), labels))


def test_scores_are_a_distribution():
    logits, _ = batch(0, 10)
    scores = build().get_activation(logits)
    torch.testing.assert_close(scores.sum(dim=1), torch.ones(10).double())
    foreground = logits[:, CLASSES:].softmax(dim=1)[:, 0]
    torch.testing.assert_close(scores[:, :CLASSES].sum(dim=1), foreground)
