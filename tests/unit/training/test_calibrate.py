"""A calibrated method is the same weights with other scores."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from pipeline import params
from pipeline.detection.class_weights import FILE, write_class_weights
from pipeline.params import Calibration
from pipeline.training.calibrate import calibrate
from pipeline.training.predict import load_model, run, val_loader
from pipeline.training.train import build_runner, complete_config

GAMMAS = {"zero": 0.0, "norcal": 0.6}


@pytest.fixture(scope="module")
def settings(root, tmp_path_factory):
    """smoke on nine images with an untrained `softmax`, and two calibrations of it."""
    smoke = params.load(root / "configs" / "presets" / "smoke.yaml")
    blocks = {
        name: Calibration.from_yaml({"from": "softmax", "type": "norcal", "gamma": gamma}, name)
        for name, gamma in GAMMAS.items()
    }
    data = replace(smoke.data, train_images=9, val_images=2)
    compute = params.Compute(gpus=0, workers=0)
    settings = replace(smoke, data=data, calibration=blocks, compute=compute)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("calibrate"))
        data.prepare(Path("data/symbols"))
        model = build_runner(settings, "softmax", Path("work"), None).model
        model.init_weights()
        state, folder = model.state_dict(), Path("models/softmax")
        folder.mkdir(parents=True)
        torch.save(state, folder / "weights.pth")
        write_class_weights(state, data.categories, folder)
        complete_config(settings, "softmax", "").dump(folder / "config.py")
        for name in blocks:
            calibrate(settings, name)
        yield settings


def detections(settings, name):
    model = load_model(settings, Path("models", name))
    batch = next(iter(val_loader(settings, [[0, 1]])))
    return [sample.pred_instances for sample in run(model, batch)]


def test_weights_are_those_of_the_start_byte_for_byte(settings):
    for file in ("weights.pth", FILE):
        content = Path("models/softmax", file).read_bytes()
        assert all(Path("models", name, file).read_bytes() == content for name in GAMMAS)


def test_gamma_0_gives_the_detections_of_the_start(settings):
    for found, expected in zip(
        detections(settings, "zero"), detections(settings, "softmax"), strict=True
    ):
        assert len(expected) > 0
        for key in ("bboxes", "scores", "labels"):
            assert torch.equal(found[key], expected[key])


def test_a_correction_favours_classes_of_few_images(settings):
    plain, corrected = (detections(settings, name) for name in ("softmax", "norcal"))
    counts = torch.tensor(Config.fromfile("models/norcal/config.py")
                          .model.roi_head.bbox_head.calibration.image_count)  # fmt: skip
    means = [
        torch.cat([counts[sample.labels] for sample in samples]).float().mean()
        for samples in (plain, corrected)
    ]
    assert means[1] < means[0]


def test_the_environment_names_the_start_and_no_training(settings):
    found = json.loads(Path("models/norcal/environment.json").read_text())
    assert (found["stage"], found["source"]) == ("calibrate", "models/softmax")
    assert not Path("models/norcal/scalars.jsonl").exists()


def test_a_start_that_is_missing_is_named_with_the_stage_that_makes_it(settings):
    block = replace(settings.calibration["zero"], start="bce")
    with pytest.raises(ValueError, match=r"bce/weights.pth is missing; .*_representation@bce"):
        calibrate(replace(settings, calibration={"zero": block}), "zero")
