"""Train one method and publish it to ``models/<name>/``."""

import json
import os
import shutil
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.runner import Runner

import pipeline.detection  # noqa: F401  (registers the method with mmdet)
from pipeline.files import atomic_folder, write_json
from pipeline.params import Classifier, Params
from pipeline.training.backbone import start_from_weights
from pipeline.training.checks import check_start, check_weights_file
from pipeline.training.environment import environment
from pipeline.training.hooks import MirrorHook
from pipeline.training.recipe import build_config
from pipeline.training.run_folder import locked, newest_checkpoint, run_folder


def train(params: Params, name: str) -> None:
    """Train the representation or classifier ``name``, going on from its last checkpoint."""
    block = params.method(name)
    check_weights_file(params.detector.weights)
    weights = None
    if isinstance(block, Classifier):
        check_start(params, Path("models", block.start_from))
        weights = Path("models", block.start_from, "weights.pth")
    choose_device(params.compute.gpus)
    folder = run_folder(params, name, weights)
    with locked(folder):
        runner = build_runner(params, name, folder, weights)
        if params.tracking.enabled:
            runner.register_hook(MirrorHook(name), "VERY_LOW")
        runner.train()
        publish(runner, params, name, folder)


def build_runner(params, name, folder, weights):
    config = complete_config(params, name, folder)
    checkpoint = newest_checkpoint(folder)
    if checkpoint:
        print(f"resuming {name} from {checkpoint}", flush=True)
        config.load_from, config.resume = str(checkpoint), True
    elif weights:
        config.load_from = str(weights)
    elif params.detector.weights:
        start_from_weights(config.model.backbone, params.detector.weights, folder)
    return Runner.from_cfg(config)


def complete_config(params, name, work_dir):
    """``build_config``'s, with the box regression of an imported model that training starts from.

    mmengine would only log that ``fc_reg`` has another shape, and train it from random weights.
    """
    config = build_config(params, name, work_dir)
    start = getattr(params.method(name), "start_from", None)
    if start in params.pretrained:
        imported = Config.fromfile(Path("models", start, "config.py")).model.roi_head.bbox_head
        config.model.roi_head.bbox_head.reg_class_agnostic = imported.reg_class_agnostic
    return config


def choose_device(gpus):
    """mmengine takes CUDA wherever it sees it; hide it for ``gpus: 0``, insist for ``gpus: 1``."""
    if gpus == 0:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    elif gpus == 1 and not torch.cuda.is_available():
        raise ValueError("compute.gpus is 1, but no GPU is visible; set it to auto or 0")


def publish(runner, params, name, folder):
    """Write the trained model, its config, scalars and environment as one complete folder."""
    lines = (folder / "scalars.jsonl").read_text(encoding="utf-8").splitlines()
    state = {key: value.cpu() for key, value in runner.model.state_dict().items()}
    with atomic_folder(Path("models", name)) as out:
        torch.save(state, out / "weights.pth")
        complete_config(params, name, "").dump(out / "config.py")
        shutil.copy(folder / "scalars.jsonl", out)
        scalars = [json.loads(line) for line in lines]
        write_json(out / "environment.json", environment(params, name, scalars))
