"""What a family says of a model, configured, built, or as a state dict."""

import pytest
import torch
from mmengine.config import Config
from tiny_detector import CLASSES, build_detector

from pipeline.detection.families import family_of, family_of_state, layers

DETECTORS = {
    "faster_rcnn_r18_fpn": ("two_stage", "fcbl"),
    "retinanet_r18_fpn": ("one_stage", "fcbl_dense"),
}


@pytest.fixture(params=DETECTORS)
def detector(request, root):
    config = Config.fromfile(root / "configs" / "detectors" / f"{request.param}.py")
    name, loss = DETECTORS[request.param]
    return name, config, build_detector(config, loss, hallucination=name == "two_stage")


def test_config_model_and_state_are_of_one_family(detector):
    name, config, model = detector
    assert family_of(config.model).NAME == family_of(model).NAME == name
    assert name == family_of_state(model.state_dict()).NAME


def test_layers_are_those_of_the_model_also_when_wrapped(detector):
    name, _, model = detector
    found = layers(model)
    parameters = {id(p) for p in model.parameters()}
    assert {id(p) for m in found.values() for p in m.parameters()} <= parameters
    assert set(found) == {"fc_cls", "fc_reg"} | ({"rpn"} if name == "two_stage" else set())
    wrapped = torch.nn.DataParallel(model)
    assert layers(wrapped) == found


def test_layers_of_masks(root):
    config = Config.fromfile(root / "configs" / "detectors" / "faster_rcnn_r18_fpn.py")
    assert set(layers(build_detector(config, masks=True))) == {
        "fc_cls", "fc_reg", "rpn", "mask_head"
    }  # fmt: skip
    masks = Config.fromfile(root / "configs" / "detectors" / "mask_rcnn_r50_fpn.py").model
    assert family_of(masks).has_masks(masks) and not family_of(config.model).has_masks(config.model)


def test_the_state_has_a_row_a_class(detector):
    """Weights that are c everywhere for class c, whatever the number of anchors."""
    name, _, model = detector
    layer = layers(model)["fc_cls"]
    columns = CLASSES + (name == "two_stage")
    values = torch.arange(len(layer.bias)) % columns
    layer.weight.data = values.view(-1, *[1] * (layer.weight.dim() - 1)) * torch.ones_like(
        layer.weight
    )
    layer.bias.data = values.float()
    family = family_of(model)
    state = model.state_dict()
    weight, bias = family.classifier(state)
    assert family.columns(state) == len(weight) == columns
    expected = torch.arange(columns).float()
    torch.testing.assert_close(weight, expected[:, None].expand_as(weight))
    torch.testing.assert_close(bias, expected)


def test_statistics_are_what_loss_and_features_count(detector):
    _, _, model = detector
    found = {n for n in model.state_dict() if n.startswith(family_of(model).STATISTICS)}
    assert {n.rpartition(".")[2] for n in found} >= {"confusion_sum", "class_count"}
    assert not found & {n for n, _ in model.named_parameters()}


def test_what_is_of_no_family_is_named():
    with pytest.raises(ValueError, match="no detector family fits DETR; there are: one_stage, two"):
        family_of(dict(type="DETR", query_head={}))
    with pytest.raises(ValueError, match=r"holds no bbox_head\.retina_cls\.weight \(one_stage\)"):
        family_of_state({"a": torch.zeros(1)})
