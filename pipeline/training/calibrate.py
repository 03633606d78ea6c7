"""A trained method with corrected scores: the same weights, and a config with the calibration."""

import shutil
from datetime import datetime, timezone
from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

import pipeline.detection  # noqa: F401  (registers the method with mmdet)
from pipeline.data.places import categories
from pipeline.detection.families import family_of
from pipeline.detection.model import config_of, statistic
from pipeline.files import atomic_folder, write_json
from pipeline.params import Params
from pipeline.runs import git_state
from pipeline.training.start import check_start


def calibrate(params: Params, name: str) -> None:
    """Write ``models/<name>/`` from the model that ``calibration.<name>`` starts from.

    ``ValueError`` where that is missing, or gives scores that the calibration does not correct.
    """
    block = params.calibration[name]
    start = Path("models", block.start)
    check_start(params, start)
    config = Config.fromfile(start / "config.py")
    part = config_of(
        block.calibrator, len(categories(params)), lambda which: statistic(params, which)
    )
    check_scores(config, part, name, block)
    family_of(config.model).calibrate(config.model, part)
    with atomic_folder(Path("models", name)) as out:
        shutil.copyfile(start / "weights.pth", out / "weights.pth")
        config.dump(out / "config.py")
        write_json(out / "environment.json", origin(name, block))


def check_scores(config, part, name, block):
    """The calibration must correct the scores that the trained loss gives."""
    init_default_scope("mmdet")
    calibration = MODELS.build(part)
    model = {**config.model, "backbone": {**config.model.backbone, "init_cfg": None}}
    loss = family_of(config.model).loss_of(MODELS.build(model))
    width = loss.get_cls_channels(part["num_classes"])
    logits = torch.linspace(-3, 3, 4 * width).reshape(4, width)
    found, wanted = loss.get_activation(logits), calibration.uncorrected(logits)
    if found.shape != wanted.shape or not torch.allclose(found, wanted):
        raise ValueError(
            f"calibration.{name}.from is {block.start}, whose loss gives other scores than "
            f"{block.calibrator.type} corrects; choose a method with softmax scores"
        )


def origin(name, block) -> dict:
    """``environment.json``: nothing was trained."""
    now = datetime.now(timezone.utc)
    return {
        "stage": block.stage,
        "name": name,
        "started": now.isoformat(timespec="seconds"),
        "source": f"models/{block.start}",
        "git_commit": git_state.commit(),
        "git_dirty": git_state.is_dirty(),
    }
