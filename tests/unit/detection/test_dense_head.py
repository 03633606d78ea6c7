"""The one-stage head inside the project's RetinaNet."""

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from test_heads import Halved
from tiny_detector import CLASSES, build_detector, training_batch

from pipeline.detection.families import family_of, layers
from pipeline.detection.step_statistics import one_step


@pytest.fixture(scope="module")
def config(root):
    return Config.fromfile(root / "configs" / "detectors" / "retinanet_r18_fpn.py")


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def build(config, loss="fcbl_dense"):
    return build_detector(config, loss, hallucination=False)


@pytest.mark.parametrize("loss", ["focal", "fcbl_dense"])
def test_a_training_step(config, loss):
    model = build(config, loss)
    whole, logged = model.parse_losses(model.loss(*training_batch()))
    whole.backward()
    assert {"loss_cls", "loss_bbox"} <= set(logged)
    assert whole.isfinite()
    for module in layers(model).values():
        assert module.weight.grad.any()


def test_focal_is_mmdets(config):
    ours = build(config, "focal")
    model = Config.fromfile(config.filename).model
    model["bbox_head"].update(
        type="RetinaHead", num_classes=CLASSES, loss_cls=dict(type="FocalLoss", use_sigmoid=True)
    )
    theirs = MODELS.build(model)
    theirs.load_state_dict(ours.state_dict())
    batch = training_batch()
    one, other = (detector.loss(*batch) for detector in (ours, theirs))
    torch.testing.assert_close(one, other)


def test_the_confusion_changes_once_after_all_levels(config):
    """In a step of two micro-batches, and where the head is called alone."""
    model = build(config)
    loss, before = model.bbox_head.loss_cls, []
    loss.update, update = lambda *rows: before.append(len(rows[0])) or update(*rows), loss.update
    model.loss(*training_batch())
    assert len(before) == 1
    with one_step(model):
        model.loss(*training_batch())
        model.loss(*training_batch())
        assert len(before) == 1
    assert len(before) == 2
    assert loss.class_count.sum() == sum(before) > 0


def test_no_object_has_a_gradient_and_no_confusion(config):
    model = build(config)
    whole, _ = model.parse_losses(model.loss(*training_batch(objects=0)))
    whole.backward()
    assert whole.isfinite()
    assert model.bbox_head.loss_cls.class_count.sum() == 0


def test_a_step_in_bfloat16(config):
    model, batch = build(config), training_batch()
    with torch.autocast("cpu", torch.bfloat16):
        losses = model.loss(*batch)
    whole, _ = model.parse_losses(losses)
    whole.backward()
    assert whole.isfinite()


def detections(model, batch, **settings):
    inputs, samples = batch
    default = dict(score_thr=0.0, nms=dict(type="nms", iou_threshold=0.5), max_per_img=50)
    model.bbox_head.test_cfg.update({**default, **settings})
    for sample in samples:
        sample.set_metainfo(dict(scale_factor=(1.0, 1.0)))
    return model.eval().predict(inputs, samples)[0].pred_instances


def test_background_is_never_detected(config):
    found = detections(build(config), training_batch())
    assert len(found) > 0
    assert found.labels.max() < CLASSES


def test_a_calibration_s_scores_are_those_that_boxes_are_chosen_by(config, monkeypatch):
    monkeypatch.setitem(MODELS.module_dict, "halved", Halved)
    model = Config.fromfile(config.filename).model
    family = family_of(model)
    family.complete(model, CLASSES, dict(type="focal", num_classes=CLASSES))
    family.calibrate(model, dict(type="quartered", num_classes=CLASSES))
    monkeypatch.setitem(MODELS.module_dict, "quartered", Quartered)
    calibrated = MODELS.build(model)
    plain = build(config, "focal")
    calibrated.load_state_dict(plain.state_dict())
    batch = training_batch()
    expected, found = detections(plain, batch), detections(calibrated, batch)
    torch.testing.assert_close(found.scores, expected.scores / 4)
    assert len(detections(calibrated, batch, score_thr=0.3)) == 0


class Quartered(torch.nn.Module):
    def __init__(self, num_classes):
        super().__init__()

    def get_activation(self, cls_score):
        return torch.nn.functional.pad(cls_score.sigmoid() / 4, (0, 1))


def test_prior_is_the_initial_score(config):
    model = Config.fromfile(config.filename).model
    loss = dict(type="focal", num_classes=CLASSES)
    family_of(model).complete(model, CLASSES, loss, prior=0.001)
    detector = MODELS.build(model)
    detector.init_weights()
    assert detector.bbox_head.retina_cls.bias.sigmoid().allclose(torch.tensor(0.001))


@pytest.mark.parametrize("loss", ["bce", "cross_entropy", "seesaw", "fcbl"])
def test_a_loss_with_background_columns_is_refused(config, loss):
    with pytest.raises(ValueError, match=rf"loss\.type is {loss}, which has .* one-stage detector"):
        build(config, loss)
