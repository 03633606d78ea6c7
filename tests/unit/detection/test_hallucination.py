"""Feature statistics, class sampling and the jittered boxes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.detection.features.hallucination import FeatureHallucination, jitter_boxes

CLASSES, FEATURES = 6, 4


def build(**arguments):
    return FeatureHallucination(CLASSES, FEATURES, **arguments).double()


def embeddings(seed, labels):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(len(labels), FEATURES, generator=generator, dtype=torch.float64)


def reference(batches, decay):
    """Class by class with torch's own mean and variance."""
    mean, var, seen = {}, {}, set()
    for rows, labels in batches:
        for c in set(labels.tolist()):
            own = rows[labels == c]
            new_mean, new_var = own.mean(0), own.var(0, correction=min(1, len(own) - 1))
            share = decay if c in seen else 1.0
            mean[c] = share * new_mean + (1 - share) * mean.get(c, new_mean)
            var[c] = share * new_var + (1 - share) * var.get(c, new_var)
            seen.add(c)
    return mean, var, seen


@settings(max_examples=25, deadline=None)
@given(
    batches=st.lists(st.lists(st.integers(0, CLASSES - 1), max_size=12), min_size=1, max_size=4),
    decay=st.floats(0, 1),
)
def test_statistics_equal_the_reference(batches, decay):
    module = build(decay_ratio=decay)
    pairs = [(embeddings(s, b), torch.tensor(b, dtype=torch.long)) for s, b in enumerate(batches)]
    for rows, labels in pairs:
        module.update(rows, labels)
    mean, var, seen = reference(pairs, decay)
    assert {c for c in range(CLASSES) if module.seen[c]} == seen
    for c in seen:
        torch.testing.assert_close(module.mean[c], mean[c])
        torch.testing.assert_close(module.var[c], var[c])


def test_variance_survives_a_large_mean_in_float32():
    module = FeatureHallucination(CLASSES, FEATURES)
    labels = torch.zeros(100, dtype=torch.long)
    rows = embeddings(0, labels)
    module.update((rows + 1000).float(), labels)
    torch.testing.assert_close(module.var[0].double(), rows.var(0), rtol=1e-3, atol=0)


def seen_module(classes=range(CLASSES), **arguments):
    module = build(**arguments)
    labels = torch.tensor([c for c in classes for _ in range(50)])
    module.update(embeddings(0, labels) * (1 + labels[:, None]) + 10 * labels[:, None], labels)
    return module


def test_samples_follow_the_statistics():
    module = seen_module(sampled_classes=40, samples_per_class=500)
    generator = torch.Generator().manual_seed(0)
    features, labels = module.sample(torch.zeros(CLASSES), generator)
    assert features.shape == (40 * 500, FEATURES)
    for c in labels.unique():
        own, std = features[labels == c], module.var[c].sqrt()
        assert ((own.mean(0) - module.mean[c]).abs() < 6 * std / len(own) ** 0.5).all()
        torch.testing.assert_close(own.std(0), std, rtol=0.15, atol=0)


def test_confused_classes_are_drawn_in_proportion():
    own_share = torch.tensor([1.0, 1.0, 0.5, 0.0, 1.0, 0.5])
    module = seen_module(sampled_classes=20000, samples_per_class=1)
    _, labels = module.sample(own_share, torch.Generator().manual_seed(0))
    share = torch.bincount(labels, minlength=CLASSES) / len(labels)
    expected = torch.tensor([0, 0, 0.25, 0.5, 0, 0.25])
    torch.testing.assert_close(share, expected, rtol=0, atol=0.02)
    torch.testing.assert_close(module.class_probability(own_share), expected, rtol=0, atol=1e-6)


def test_a_perfect_classifier_still_gives_a_distribution():
    probability = build().class_probability(torch.ones(CLASSES) * (1 + 1e-6))
    torch.testing.assert_close(probability, torch.full((CLASSES,), 1 / CLASSES))


def test_classes_never_seen_are_dropped_not_redrawn():
    module = seen_module(classes=[1, 4], sampled_classes=600, samples_per_class=2)
    own_share = torch.zeros(CLASSES)
    features, labels, valid = module.draw(own_share, torch.Generator().manual_seed(0))
    assert len(features) == len(labels) == len(valid) == 1200
    assert torch.equal(valid, (labels == 1) | (labels == 4))
    assert 300 < valid.sum() < 500
    kept, kept_labels = module.sample(own_share, torch.Generator().manual_seed(0))
    assert torch.equal(kept, features[valid])
    assert torch.equal(kept_labels, labels[valid])


def test_before_the_first_update_nothing_is_valid():
    features, labels = build().sample(torch.zeros(CLASSES))
    assert features.shape == (0, FEATURES)
    assert labels.shape == (0,)


def test_start_epoch():
    module = build(start_epoch=1)
    assert not module.active
    module.set_epoch(1)
    assert module.active


boxes = st.tuples(st.floats(0, 80), st.floats(0, 80), st.floats(1, 60), st.floats(1, 60))


@settings(max_examples=40, deadline=None)
@given(box=boxes, seed=st.integers(0, 10**6))
def test_jittered_boxes_stay_near_and_inside(box, seed):
    x, y, width, height = box
    gt = torch.tensor([[x, y, x + width, y + height]], dtype=torch.float64)
    uniform = torch.rand(4, 16, generator=torch.Generator().manual_seed(seed)).double()
    jittered = jitter_boxes(gt, (100, 120), uniform)[0]
    limit = torch.tensor([119.0, 99.0, 119.0, 99.0], dtype=torch.float64)
    assert (jittered >= 0).all()
    assert (jittered <= limit).all()
    size = torch.tensor([width, height, width, height], dtype=torch.float64)
    nearest = gt.clamp(min=torch.zeros(4).double(), max=limit)
    assert ((jittered - nearest).abs() <= size / 6 + 1e-9).all()


def test_the_16_jitters_are_all_combinations_of_sides():
    gt = torch.tensor([[30.0, 30.0, 60.0, 60.0]])
    jittered = jitter_boxes(gt, (100, 100), torch.full((4, 16), 0.5))[0]
    assert len({tuple(row) for row in (jittered > gt).tolist()}) == 16


@pytest.mark.parametrize(("boxes", "used"), [(3, 3), (9, 4)])
def test_crowded_images_use_a_random_subset_with_their_labels(boxes, used):
    module = build(max_boxes_per_image=4)
    corner = 20.0 * torch.arange(boxes)[:, None]
    gt = torch.cat([corner, corner, corner + 10, corner + 10], dim=1)
    jittered, labels = module.statistics_boxes(gt, torch.arange(boxes), (1000, 1000))
    assert jittered.shape == (used * 16, 4)
    assert len(labels.unique()) == used
    assert ((jittered - gt[labels]).abs() <= 10 / 6).all()


def test_an_overflow_of_float16_poisons_nothing():
    module, clean = FeatureHallucination(3, 2), FeatureHallucination(3, 2)
    rows, labels = torch.tensor([[1.0, 2], [3, 4], [5, 6]]), torch.tensor([0, 0, 1])
    broken = torch.cat([rows, torch.tensor([[float("inf"), 0], [float("nan"), 1]])])
    module.update(broken, torch.tensor([0, 0, 1, 0, 2]))
    clean.update(rows, labels)
    torch.testing.assert_close(module.state_dict(), clean.state_dict())
    assert not module.seen[2]
