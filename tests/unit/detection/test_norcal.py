"""NorCal: the official code's scores, and what it leaves as it is."""

import json

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS

import pipeline.detection  # noqa: F401

CASES = ("norcal", "norcal_probs", "norcal_probs_raw", "norcal_logits", "norcal_cb")
COUNTS = [0, 1, 5, 400]
LOGITS = torch.linspace(-4, 4, 20, dtype=torch.float32).reshape(4, 5)


def build(**knobs):
    return MODELS.build(dict(type="norcal", num_classes=4, image_count=COUNTS, **knobs))


@pytest.fixture(scope="module")
def golden(shared):
    return np.load(shared / "golden" / "rivals_small.npz")


@pytest.mark.parametrize("name", CASES)
def test_scores_are_the_official_ones(golden, name):
    case = next(c for c in json.loads(str(golden["cases"])) if c["name"] == name)
    counts = golden["image_count"].tolist()
    calibration = MODELS.build(
        dict(type="norcal", num_classes=len(counts), image_count=counts, **case["params"])
    ).double()
    logits = torch.from_numpy(golden["logits_0"][:, : case["width"]]).double()
    for found, wanted in (
        (calibration.get_activation(logits), golden[f"{name}_activation"]),
        (calibration.uncorrected(logits), golden[f"{name}_before"]),
    ):
        assert found.shape == wanted.shape
        scale = np.abs(wanted) + np.abs(wanted[wanted != 0]).mean()
        assert (np.abs(found.numpy() - wanted) / scale).max() < 2e-6


@pytest.mark.parametrize("on", ["exps", "logits"])
def test_gamma_0_is_softmax_bit_for_bit(on):
    assert torch.equal(build(gamma=0.0, on=on).get_activation(LOGITS), LOGITS.softmax(dim=1))


@pytest.mark.parametrize("method", ["gamma", "cb"])
def test_a_class_without_images_counts_as_one_with_one(method):
    scores = build(gamma=0.5, method=method).get_activation(torch.zeros(1, 5))[0]
    assert scores.isfinite().all()
    assert scores[0] == scores[1] == scores[4] > scores[2] > scores[3]


def test_logits_so_large_that_their_exps_overflow_give_scores():
    scores = build(gamma=0.5).get_activation(100 * LOGITS)
    assert torch.allclose(scores.sum(dim=1), torch.ones(4))


def test_it_adds_nothing_to_the_weights():
    assert not build(gamma=0.6).state_dict()


def test_knobs_that_would_do_nothing_or_cannot_be_are_refused():
    with pytest.raises(ValueError, match=r"gamma is 1\.0; method cb takes"):
        build(gamma=1.0, method="cb")
    with pytest.raises(ValueError, match="renorm: false has no effect on exps"):
        build(gamma=0.5, renorm=False)
