"""The order of memory changes no number."""

import copy

import pytest
import torch
from mmengine.config import Config
from tiny_detector import build_detector, training_batch

from pipeline.training.device import in_device_order


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU keeps the usual order")
@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("name", ["faster_rcnn_r18_fpn", "retinanet_r18_fpn"])
def test_a_detector_with_its_channels_last_has_the_same_losses(root, name, masks):
    """mmcv's RoIAlign reads feature maps with their channels last as if they had them first."""
    one_stage = name.startswith("retinanet")
    if one_stage and masks:
        pytest.skip("a one-stage detector has no masks")
    config = Config.fromfile(root / f"configs/detectors/{name}.py")
    torch.manual_seed(0)
    loss = "focal" if one_stage else "cross_entropy"
    plain = build_detector(config, loss=loss, hallucination=False, masks=masks)
    ordered = in_device_order(copy.deepcopy(plain))
    assert not ordered.backbone.conv1.weight.is_contiguous()
    inputs, samples = training_batch()
    expected, found = (losses_of(model, inputs, samples) for model in (plain, ordered))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def losses_of(model, inputs, samples):
    torch.manual_seed(1)
    return model.parse_losses(model(inputs, copy.deepcopy(samples), mode="loss"))[1]
