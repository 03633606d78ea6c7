"""What training refuses to start from."""

from dataclasses import replace

import pytest
import torch
from mmdet.registry import MODELS

from pipeline import params
from pipeline.data import symbols
from pipeline.training.checks import check_backbone, check_weights_file
from pipeline.training.train import build_runner, check_precision

RESNET = dict(type="mmdet.ResNet", depth=18, base_channels=8, stem_channels=8)


def test_backbone_weights_are_a_file_or_a_url(tmp_path):
    (tmp_path / "backbone.pth").touch()
    for sound in (None, str(tmp_path / "backbone.pth"), "torchvision://resnet50"):
        check_weights_file(sound)
    with pytest.raises(ValueError, match=r"detector\.weights is 'missing\.pth', which is no file"):
        check_weights_file("missing.pth")


@pytest.mark.parametrize(
    ("content", "named"),
    [({"layer.weight": torch.zeros(3)}, r"'layer\.weight'"), (torch.zeros(3), "None")],
)
def test_a_file_that_fits_nothing_is_refused(tmp_path, content, named):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(ValueError, match=f"no array that fits .* {named}"):
        check_backbone(str(tmp_path / "other.pth"), RESNET)


def test_a_damaged_file_is_named(tmp_path):
    torch.save(MODELS.build(RESNET).state_dict(), tmp_path / "whole.pth")
    damaged = tmp_path / "damaged.pth"
    damaged.write_bytes((tmp_path / "whole.pth").read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"damaged\.pth cannot be read"):
        check_backbone(str(damaged), RESNET)


def test_training_starts_from_the_backbone_of_the_file(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    smoke = params.load(root / "configs" / "presets" / "smoke.yaml")
    small = replace(smoke.data, train_images=9, val_images=1)
    symbols.generate(small, tmp_path / "data" / "symbols")
    fresh = build_runner(replace(smoke, data=small), "bce", tmp_path / "fresh", None).model.backbone
    with torch.no_grad():
        fresh.conv1.weight.fill_(0.5)
    torch.save({"state_dict": fresh.state_dict()}, tmp_path / "backbone.pth")
    detector = replace(smoke.detector, weights=str(tmp_path / "backbone.pth"))
    changed = replace(smoke, data=small, detector=detector)
    model = build_runner(changed, "bce", tmp_path / "run", None).model
    model.init_weights()
    assert (model.backbone.conv1.weight == 0.5).all()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_mixed_precision_needs_a_gpu():
    check_precision("fp32")
    with pytest.raises(ValueError, match=r"train\.precision is bf16, which needs a GPU"):
        check_precision("bf16")
