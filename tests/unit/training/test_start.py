"""What training refuses to start from."""

from dataclasses import replace

import pytest
import torch
from mmdet.registry import MODELS

from pipeline import params
from pipeline.training.backbone import check_backbone, initialised_from
from pipeline.training.start import check_data, check_weights_file
from pipeline.training.train import build_runner, check_precision

RESNET = dict(type="mmdet.ResNet", depth=18, base_channels=8, stem_channels=8)


def test_backbone_weights_are_a_file_or_a_url(tmp_path):
    (tmp_path / "backbone.pth").touch()
    for sound in (None, str(tmp_path / "backbone.pth"), "torchvision://resnet50"):
        check_weights_file(sound)
    with pytest.raises(ValueError, match=r"detector\.weights is 'missing\.pth', which is no file"):
        check_weights_file("missing.pth")


def test_a_file_in_the_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "backbone.pth").touch()
    check_weights_file("~/backbone.pth")


def test_training_without_data_names_the_stage(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"digest\.txt is missing; run `dvc repro prepare`"):
        check_data(params.load(root / "params.yaml"))


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
    small.prepare(tmp_path / "data" / "symbols")
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


SWIN = dict(
    type="mmdet.SwinTransformer",
    embed_dims=8,
    depths=(1, 1, 1, 1),
    num_heads=(1, 1, 2, 2),
    window_size=2,
)


def swin_authors_file(own):
    """The own names and layouts turned back into those of the Swin authors."""
    names = {
        "stages.": "layers.",
        "attn.w_msa.": "attn.",
        "ffn.layers.0.0.": "mlp.fc1.",
        "ffn.layers.1.": "mlp.fc2.",
        "patch_embed.projection": "patch_embed.proj",
    }
    state = {}
    for key, value in own.items():
        if "downsample.reduction" in key:
            rows, columns = value.shape
            value = value.reshape(rows, columns // 4, 4).transpose(1, 2)[:, [0, 2, 1, 3]]
            value = value.reshape(rows, columns)
        elif "downsample.norm" in key:
            value = value.reshape(-1, 4).t()[[0, 2, 1, 3]].reshape(-1)
        for ours, theirs in names.items():
            key = key.replace(ours, theirs)
        state[key] = value
    return {"model": {**state, "head.weight": torch.zeros(10, 64)}}


@pytest.mark.parametrize("convert", [True, False])
def test_swin_starts_from_its_authors_file_or_from_mmdets(tmp_path, convert):
    own = {key: torch.rand_like(v) if v.is_floating_point() else v
           for key, v in MODELS.build(SWIN).state_dict().items()}  # fmt: skip
    whole = {f"backbone.{key}": value for key, value in own.items()}
    torch.save(swin_authors_file(own) if convert else whole, tmp_path / "swin.pth")
    config = dict(SWIN, convert_weights=convert)
    model = MODELS.build(initialised_from(str(tmp_path / "swin.pth"), config, tmp_path))
    assert config == dict(SWIN, convert_weights=convert)
    model.init_weights()
    for key, value in model.state_dict().items():
        assert torch.equal(value, own[key]), key
