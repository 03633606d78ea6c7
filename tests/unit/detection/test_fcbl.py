"""FCBL against an obvious, slow reference, and its behaviour at the edges."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmdet.registry import MODELS

import pipeline.detection  # noqa: F401

CLASSES = 5


def build(kind="fcbl", classes=CLASSES, **arguments):
    return MODELS.build(dict(type=kind, num_classes=classes, **arguments)).double()


def batch(seed, rows, background=0.5, classes=CLASSES):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(rows, classes + 1, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, classes, (rows,), generator=generator)
    is_background = torch.rand(rows, generator=generator) < background
    return logits, torch.where(is_background, classes, labels)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def reference_loss(loss, logits, labels):
    """Row by row and class by class, in plain Python."""
    confusion, background, total = loss.confusion().tolist(), loss.num_classes, 0.0
    for z, own in zip(logits.tolist(), labels.tolist(), strict=True):
        score = [sigmoid(x) * (1 - sigmoid(z[background])) for x in z[:-1]]
        for j, x in enumerate(z):
            margin, weight = 0.0, 1.0
            if own != background and j != background:
                ratio = max(confusion[own][j], 1e-3) / max(confusion[j][own], 1e-3)
                margin = loss.alpha * math.log(ratio) if loss.margin else 0.0
                kept = score[j] >= score[own] or score[j] >= loss.prob_thr
                weight = float(kept or not loss.weight_active)
            p = sigmoid(x + margin)
            total -= weight * math.log(p if j == own else 1 - p)
    return total / len(labels)


def reference_confusion(batches, classes=CLASSES):
    total, count = torch.zeros(classes, classes, dtype=torch.float64), [0] * classes
    for logits, labels in batches:
        for z, own in zip(logits, labels.tolist(), strict=True):
            if own != classes:
                total[own] += z[:-1].softmax(dim=0)
                count[own] += 1
    return torch.stack([row / max(n, 1) for row, n in zip(total, count, strict=True)])


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(1, 30),
    background=st.sampled_from([0.0, 0.5, 1.0]),
    alpha=st.floats(0, 2),
    prob_thr=st.floats(0, 1),
    margin=st.booleans(),
    weight=st.booleans(),
)
def test_equals_the_reference(seed, rows, background, alpha, prob_thr, margin, weight):
    loss = build(alpha=alpha, prob_thr=prob_thr, margin=margin, weight=weight)
    batches = [batch(seed + i, rows, background) for i in range(3)]
    for logits, labels in batches:
        expected = reference_loss(loss, logits, labels)
        assert loss(logits, labels).item() == pytest.approx(expected, rel=1e-9)
    torch.testing.assert_close(loss.confusion(), reference_confusion(batches))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_order_of_rows_does_not_matter(seed):
    logits, labels = batch(seed, 20)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(seed))
    one, other = build(), build()
    for _ in range(2):
        torch.testing.assert_close(one(logits, labels), other(logits[order], labels[order]))
    torch.testing.assert_close(one.confusion(), other.confusion())


def test_no_margin_and_no_weight_is_bce_that_keeps_the_confusion():
    plain, loss = build("bce"), build(margin=False, weight=False)
    for seed in range(3):
        logits, labels = batch(seed, 20)
        torch.testing.assert_close(loss(logits, labels), plain(logits, labels))
    assert loss.confusion().sum() > 0


def test_first_step_without_weight_is_bce():
    logits, labels = batch(0, 20)
    torch.testing.assert_close(build(weight=False)(logits, labels), build("bce")(logits, labels))


def test_a_batch_without_positives_leaves_the_confusion_and_has_a_gradient():
    loss = build()
    loss(*batch(0, 20))
    before = loss.confusion()
    logits, labels = batch(1, 20, background=1.0)
    loss(logits.requires_grad_(), labels).backward()
    assert torch.equal(loss.confusion(), before)
    assert logits.grad.abs().sum() > 0


def test_an_empty_batch_is_zero():
    value = build()(torch.zeros(0, CLASSES + 1, requires_grad=True), torch.zeros(0).long())
    value.backward()
    assert value.item() == 0


@pytest.mark.parametrize("kind", ["fcbl", "bce"])
def test_rows_of_weight_zero_count_for_nothing(kind):
    logits, labels = batch(0, 20, background=0.2)
    weight = (torch.arange(20) % 3 > 0).double()
    logits.requires_grad_()
    masked, shorter = build(kind), build(kind)
    for _ in range(2):
        value = masked(logits, labels, weight)
        torch.testing.assert_close(value, shorter(logits[weight > 0], labels[weight > 0]))
    value.backward()
    assert logits.grad[weight == 0].abs().max() == 0
    if kind == "fcbl":
        torch.testing.assert_close(masked.confusion(), shorter.confusion())


def test_avg_factor_divides_and_weights_scale():
    logits, labels = batch(0, 20)
    mean = build()(logits, labels)
    torch.testing.assert_close(build()(logits, labels, avg_factor=10), 2 * mean)
    torch.testing.assert_close(build()(logits, labels, torch.full((20,), 3.0)), 3 * mean)


def test_weight_starts_at_its_epoch():
    logits, labels = batch(0, 20, background=0.0)
    late = build(weight_start_epoch=2)
    late.set_epoch(1)
    torch.testing.assert_close(late(logits, labels), build(weight=False)(logits, labels))
    late = build(weight_start_epoch=2)
    late.set_epoch(2)
    torch.testing.assert_close(late(logits, labels), build()(logits, labels))


def test_autocast_computes_in_float32():
    logits, labels = (batch(0, 40)[i] for i in range(2))
    logits = logits.to(torch.bfloat16)
    inside, outside = build().float(), build().float()
    for _ in range(2):
        with torch.autocast("cpu", torch.bfloat16):
            value = inside(logits, labels)
        expected = outside(logits.float(), labels)
    assert value.dtype == torch.float32
    assert torch.equal(value, expected)
    assert inside.confusion_sum.dtype == torch.float32
    assert torch.equal(inside.confusion(), outside.confusion())


def test_scores_of_half_logits_are_float32():
    logits = torch.full((1, CLASSES + 1), -8.0).half()
    scores = build().get_activation(logits)
    assert scores.dtype == torch.float32
    assert scores[0, 0].item() == pytest.approx(sigmoid(-8) * (1 - sigmoid(-8)), rel=1e-5)


def test_confusion_is_in_the_checkpoint():
    loss, resumed = build(), build()
    loss(*batch(0, 20))
    resumed.load_state_dict(loss.state_dict())
    assert torch.equal(resumed.confusion(), loss.confusion())
    torch.testing.assert_close(resumed(*batch(1, 20)), loss(*batch(1, 20)))


def test_cross_entropy_is_softmax():
    logits, labels = batch(0, 8)
    loss = MODELS.build(dict(type="cross_entropy", num_classes=CLASSES))
    expected = torch.nn.functional.cross_entropy(logits, labels)
    torch.testing.assert_close(loss(logits, labels), expected)
    torch.testing.assert_close(loss.get_activation(logits), logits.softmax(dim=1))


def test_wrong_number_of_channels_names_both():
    with pytest.raises(
        ValueError, match=r"8 classification channels for num_classes=5; fcbl expects 6"
    ):
        build()(torch.zeros(2, 8), torch.zeros(2).long())
    with pytest.raises(ValueError, match=r"num_classes=5, its head 1203"):
        build().get_cls_channels(1203)
