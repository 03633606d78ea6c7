"""Methods of real params files, whose parts fit together or do not."""

import pytest
import torch
from mmdet.registry import MODELS
from ruamel.yaml import YAML

from pipeline import params
from pipeline.detection.scoring import ClassificationLoss, check_loss
from pipeline.detection.wiring import check_wiring

SHORT = {"epochs": 1}


def settings(root, preset="smoke", **changes):
    content = YAML(typ="safe").load((root / f"configs/presets/{preset}.yaml").read_text())
    for key, value in changes.items():
        content[key] = {**content[key], **value} if key == "detector" else value
    return params.parse(params.Params, content, "")


def methods(root, representation=None, classifier=None, **more):
    """The smoke preset with these methods beside its softmax."""
    softmax = {"loss": {"type": "cross_entropy"}, **SHORT}
    return settings(
        root,
        representation={"softmax": softmax, **(representation or {})},
        classifier=classifier or {},
        report={"methods": ["softmax"], "baseline": "softmax"},
        **more,
    )


def test_every_preset_is_wired(root):
    for path in (root / "configs/presets").glob("*.yaml"):
        check_wiring(params.load(path))


def test_retinanet_with_its_own_losses(root):
    dense = {"focal": {"loss": {"type": "focal"}, **SHORT}}
    bacl = {"from": "focal", "loss": {"type": "fcbl_dense"}, **SHORT}
    check_wiring(one_stage(root, dense, {"bacl": bacl}))


def one_stage(root, representation, classifier=None):
    first = next(iter(representation))
    return settings(
        root,
        detector={"config": "retinanet_r18_fpn"},
        representation=representation,
        classifier=classifier or {},
        report={"methods": [first], "baseline": first},
    )


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({"loss": {"type": "bce"}}, r"loss\.type is bce, which has 101 columns for 100 classes"),
        (
            {"loss": {"type": "seesaw"}},
            r"predictor is normed_linear \(or loss\.type seesaw wants it\), but",
        ),
        ({"loss": {"type": "focal"}, "proposals": 10}, r"proposals is 10 .* but a one-stage"),
    ],
)
def test_what_a_dense_head_cannot_take(root, block, words):
    with pytest.raises(ValueError, match=rf"^representation\.x: {words}"):
        check_wiring(one_stage(root, {"x": {**block, **SHORT}}))


def test_a_loss_of_dense_heads_in_a_two_stage_detector(root):
    block = {"loss": {"type": "fcbl_dense"}, **SHORT}
    words = r"^representation\.x: loss\.type is fcbl_dense, which works in one_stage detectors"
    with pytest.raises(ValueError, match=words):
        check_wiring(methods(root, {"x": block}))


def test_features_need_a_confusion_matrix(root):
    block = {
        "from": "softmax", "loss": {"type": "cross_entropy"},
        "features": {"type": "hallucination"}, **SHORT,
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"^classifier\.x: features is hallucination, which needs"):
        check_wiring(methods(root, classifier={"x": block}))


SEESAW = {"type": "seesaw"}
LINEAR = {"type": "linear"}
NORMED = {"type": "normed_linear"}
CROSS_ENTROPY = {"type": "cross_entropy"}


@pytest.mark.parametrize(
    ("block", "words"),
    [
        (
            {"loss": SEESAW},
            r"linear \[C \+ 1\], .* normed_linear \[C \+ 2\]",
        ),
        ({"loss": SEESAW, "predictor": LINEAR}, r"linear \[C \+ 1\], .* linear \[C \+ 2\]"),
        ({"loss": CROSS_ENTROPY, "predictor": NORMED}, r"linear \[C \+ 1\], .* normed_linear \["),
    ],
)
def test_a_classifier_of_another_shape_or_kind_starts_afresh(root, block, words):
    block = {"from": "softmax", **block, **SHORT}
    with pytest.raises(ValueError, match=rf"^classifier\.x: reinit lacks fc_cls, .*{words}"):
        check_wiring(methods(root, classifier={"x": block}))
    check_wiring(methods(root, classifier={"x": {**block, "reinit": ["fc_cls"]}}))


def test_a_classifier_of_the_same_shape_goes_on(root):
    crt = {"from": "softmax", "loss": CROSS_ENTROPY, "predictor": LINEAR, **SHORT}
    check_wiring(methods(root, classifier={"crt": crt}))


@pytest.mark.parametrize("loss", ["bce", "seesaw"])
def test_norcal_corrects_a_softmax_alone(root, loss):
    norcal = {"x": {"from": "softmax", "type": "norcal", "gamma": 0.5}}
    check_wiring(methods(root, calibration=norcal))
    other = {"other": {"loss": {"type": loss}, **SHORT}}
    norcal["x"]["from"] = "other"
    with pytest.raises(ValueError, match=r"^calibration\.x: from is other, whose loss gives other"):
        check_wiring(methods(root, other, calibration=norcal))


class Half(ClassificationLoss):
    """Its scores reach mmdet's test, and not its training."""

    custom_activation = False


def test_both_of_mmdet_s_flags_must_be_set():
    with pytest.raises(ValueError, match=r"lacks custom_activation"):
        check_loss(Half(3), "two_stage")
    with pytest.raises(ValueError, match=r"lacks custom_cls_channels"):
        check_loss(MODELS.build(dict(type="mmdet.EQLV2Loss")), "two_stage")


class Odd(ClassificationLoss):
    """Scores of the wrong width, or a gradient that is not there."""

    def get_activation(self, cls_score):
        return cls_score.softmax(dim=1)[:, :-1]


class Stuck(ClassificationLoss):
    def get_activation(self, cls_score):
        return cls_score.softmax(dim=1)

    def forward(self, cls_score, label, weight=None, avg_factor=None):
        return (cls_score * float("nan")).sum()


@pytest.mark.parametrize(
    ("loss", "words"),
    [(Odd, r"gives scores \[40, 100\] for 40 rows"), (Stuck, "value nan or gradient")],
)
def test_a_loss_that_does_not_work_is_found(root, monkeypatch, loss, words):
    monkeypatch.setitem(MODELS.module_dict, "bce", loss)
    block = {"x": {"loss": {"type": "bce"}, **SHORT}}
    with pytest.raises(ValueError, match=rf"^representation\.x: .*{words}"):
        check_wiring(methods(root, block))


def test_the_state_of_random_numbers_is_left(root):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    check_wiring(methods(root))
    assert torch.equal(torch.get_rng_state(), before)
