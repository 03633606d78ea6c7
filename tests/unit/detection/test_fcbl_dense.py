"""FCBL without background against an obvious, slow reference; it stands on focal loss."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.models.losses.focal_loss import py_sigmoid_focal_loss
from mmdet.registry import MODELS

import pipeline.detection  # noqa: F401
from pipeline.detection.step_statistics import one_step

CLASSES = 5


def build(kind="fcbl_dense", **arguments):
    return MODELS.build(dict(type=kind, num_classes=CLASSES, **arguments)).double()


def batch(seed, rows, background=0.7):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(rows, CLASSES, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, CLASSES, (rows,), generator=generator)
    is_background = torch.rand(rows, generator=generator) < background
    return logits, torch.where(is_background, CLASSES, labels)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def reference(loss, logits, labels, positives):
    """Anchor by anchor and class by class, in plain Python."""
    confusion, total = loss.confusion().tolist(), 0.0
    for z, own in zip(logits.tolist(), labels.tolist(), strict=True):
        for j, x in enumerate(z):
            margin, weight = 0.0, 1.0
            if own < CLASSES and j != own:
                ratio = max(confusion[own][j], 1e-3) / max(confusion[j][own], 1e-3)
                margin = loss.alpha * math.log(ratio) if loss.margin else 0.0
                kept = sigmoid(x) >= sigmoid(z[own]) or sigmoid(x) >= loss.prob_thr
                weight = float(kept or not loss.weight_active)
            p = sigmoid(x + margin)
            right, share = (p, loss.alpha_focal) if j == own else (1 - p, 1 - loss.alpha_focal)
            total -= weight * share * (1 - right) ** loss.gamma * math.log(right)
    return total / positives


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(1, 30),
    background=st.sampled_from([0.0, 0.7, 1.0]),
    gamma=st.sampled_from([0.0, 1.0, 2.0]),
    alpha_focal=st.floats(0, 1),
    alpha=st.floats(0, 2),
    prob_thr=st.floats(0, 1),
    margin=st.booleans(),
    weight=st.booleans(),
)
def test_equals_the_reference(seed, rows, background, **arguments):
    loss, batches = build(**arguments), []
    for step in range(3):
        logits, labels = batch(seed + step, rows, background)
        positives = max(int((labels < CLASSES).sum()), 1)
        expected = reference(loss, logits, labels, positives)
        value = loss(logits, labels, avg_factor=positives).item()
        assert value == pytest.approx(expected, rel=1e-9, abs=1e-12)
        batches.append((logits, labels))
    torch.testing.assert_close(loss.confusion(), reference_confusion(batches))


def reference_confusion(batches):
    total, count = torch.zeros(CLASSES, CLASSES, dtype=torch.float64), [0] * CLASSES
    for logits, labels in batches:
        for z, own in zip(logits, labels.tolist(), strict=True):
            if own < CLASSES:
                total[own] += z.softmax(dim=0)
                count[own] += 1
    return torch.stack([row / max(n, 1) for row, n in zip(total, count, strict=True)])


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    gamma=st.sampled_from([0.0, 1.5, 2.0]),
    alpha=st.floats(0, 1),
    background=st.sampled_from([0.0, 0.7, 1.0]),
)
def test_without_margin_and_weight_it_is_focal_loss(seed, gamma, alpha, background):
    """Ours and mmdet's; values and gradients, whatever the confusion."""
    loss = build(gamma=gamma, alpha_focal=alpha, margin=False, weight=False)
    plain = build("focal", gamma=gamma, alpha=alpha)
    for step in range(2):
        logits, labels = batch(seed + step, 20, background)
        found, expected, theirs = (logits.clone().requires_grad_() for _ in range(3))
        one, other = loss(found, labels, avg_factor=7), plain(expected, labels, avg_factor=7)
        target = torch.nn.functional.one_hot(labels, CLASSES + 1)[:, :CLASSES]
        third = py_sigmoid_focal_loss(theirs, target, None, gamma, alpha, avg_factor=7)
        for value in (one, other, third):
            value.backward()
        torch.testing.assert_close(one, other)
        torch.testing.assert_close(other, third)
        torch.testing.assert_close(found.grad, expected.grad)
        torch.testing.assert_close(expected.grad, theirs.grad)
    assert background == 1.0 or loss.confusion().sum() > 0


@pytest.mark.parametrize("kind", ["focal", "fcbl_dense"])
def test_the_divisor_is_the_number_of_positives(kind):
    logits, labels = batch(0, 30)
    weight = (torch.arange(30) % 3 > 0).double()
    positives = int(((labels < CLASSES) & (weight > 0)).sum())
    assert positives > 1
    expected = build(kind)(logits, labels, weight, avg_factor=positives)
    torch.testing.assert_close(build(kind)(logits, labels, weight), expected)


def test_background_keeps_its_focal_loss_whatever_the_confusion():
    loss, plain = build(), build("focal")
    loss(*batch(0, 40, background=0.0))
    logits, labels = batch(1, 20, background=1.0)
    torch.testing.assert_close(loss(logits, labels), plain(logits, labels))
    positive, labels = batch(1, 20, background=0.0)
    assert not torch.isclose(loss(positive, labels), plain(positive, labels))


def test_levels_of_a_step_are_one_batch():
    whole, levels = build(), build()
    for seed in range(3):
        logits, labels = batch(seed, 30)
        with one_step(whole):
            expected = whole(logits, labels, avg_factor=9)
        with one_step(levels):
            parts = [
                levels(logits[part], labels[part], avg_factor=9)
                for part in (slice(20), slice(20, 28), slice(28, 30))
            ]
        torch.testing.assert_close(sum(parts), expected)
        torch.testing.assert_close(levels.confusion(), whole.confusion())


@pytest.mark.parametrize("kind", ["focal", "fcbl_dense"])
def test_ignored_anchors_are_not_there(kind):
    logits, labels = batch(0, 30, background=0.4)
    weight = (torch.arange(30) % 3 > 0).double()
    logits.requires_grad_()
    masked, shorter = build(kind), build(kind)
    for _ in range(2):
        value = masked(logits, labels, weight, avg_factor=5)
        expected = shorter(logits[weight > 0], labels[weight > 0], avg_factor=5)
        torch.testing.assert_close(value, expected)
    value.backward()
    assert logits.grad[weight == 0].abs().max() == 0
    if kind == "fcbl_dense":
        torch.testing.assert_close(masked.confusion(), shorter.confusion())


def test_scores_are_sigmoids_and_no_background():
    logits, _ = batch(0, 10)
    scores = build().get_activation(logits)
    torch.testing.assert_close(scores[:, :CLASSES], logits.sigmoid())
    assert scores.shape == (10, CLASSES + 1) and not scores[:, CLASSES].any()


def test_weight_starts_at_its_epoch_and_the_confusion_is_in_the_checkpoint():
    late, without = build(weight_start_epoch=2), build(weight=False)
    late.set_epoch(1)
    torch.testing.assert_close(late(*batch(0, 20, 0.0)), without(*batch(0, 20, 0.0)))
    late.set_epoch(2)
    resumed = build(weight_start_epoch=2)
    resumed.load_state_dict(late.state_dict())
    resumed.set_epoch(2)
    assert torch.equal(resumed(*batch(1, 20, 0.0)), late(*batch(1, 20, 0.0)))
    assert torch.equal(resumed.confusion(), late.confusion())
