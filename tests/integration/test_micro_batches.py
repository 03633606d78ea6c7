"""A step does not depend on how its images are divided over processes and time."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import distributed

from pipeline import params
from pipeline.params import Compute
from pipeline.training.loop import fewest_equal_parts
from pipeline.training.train import build_runner

# 18 images in batches of 8: the last one of 2 must be filled up
IMAGES = 18
DIVISIONS = {"accumulated": 1, "both": 2, "ranks": 4}
KEPT = ("step", "lr", "loss", "loss_cls", "loss_bbox", "loss_rpn_cls", "loss_rpn_bbox", "acc")


def tiny(root):
    smoke = params.load(root / "configs" / "presets" / "smoke.yaml")
    data = replace(smoke.data, train_images=IMAGES, val_images=1)
    once = dict(epochs=1, milestones=[])
    blocks = {name: replace(block, **once) for name, block in smoke.representation.items()}
    bacl = replace(smoke.classifier["bacl"], **once)
    compute = Compute(gpus=0, workers=0)
    train = replace(smoke.train, micro_batch=2)
    smoke = replace(smoke, data=data, train=train, compute=compute)
    return replace(smoke, representation=blocks, classifier={"bacl": bacl})


def train(root, folder, name):
    weights = folder / "start.pth" if name == "bacl" else None
    work = folder / f"{name}-{os.environ.get('DIVISION', 'whole')}"
    runner = build_runner(tiny(root), name, work, weights)
    runner.train()
    if runner.rank == 0:
        model = getattr(runner.model, "module", runner.model)
        torch.save(model.state_dict(), f"{work}.pth")


def worker(rank, ranks, division, root, folder):
    os.chdir(folder)
    os.environ.update(LOCAL_RANK=str(rank), DIVISION=division)
    torch.set_num_threads(1)
    if ranks > 1:
        distributed.init_process_group(
            "gloo", init_method=f"file://{folder}/{division}.meeting", rank=rank, world_size=ranks
        )
    for name in ("bce", "bacl"):
        train(root, folder, name)


class Trained(dict):
    """State dicts by (method, division); their scalars lie in ``folder``."""


@pytest.fixture(scope="module")
def trained(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("micro")
    here = Path.cwd()
    os.chdir(folder)
    try:
        settings = tiny(root)
        settings.data.prepare(folder / "data" / "symbols")
        start = build_runner(settings, "bce", folder / "start", None).model
        start.init_weights()
        torch.save(start.state_dict(), folder / "start.pth")
    finally:
        os.chdir(here)
    for division, ranks in DIVISIONS.items():
        torch.multiprocessing.spawn(worker, (ranks, division, root, folder), nprocs=ranks)
    found = Trained()
    for name in ("bce", "bacl"):
        for division in DIVISIONS:
            found[name, division] = torch.load(folder / f"{name}-{division}.pth")
    found.folder = folder
    return found


@pytest.mark.parametrize("division", ["both", "ranks"])
@pytest.mark.parametrize("name", ["bce", "bacl"])
def test_processes_and_accumulation_take_the_same_steps_bit_for_bit(trained, name, division):
    """Weights, batch norm's and the method's statistics, and what is logged."""
    expected, found = trained[name, "accumulated"], trained[name, division]
    assert list(found) == list(expected)
    for key in expected:
        assert torch.equal(found[key], expected[key]), key
    assert logged(trained.folder, name, division) == logged(trained.folder, name, "accumulated")


def logged(folder, name, division):
    lines = (folder / f"{name}-{division}" / "scalars.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k in KEPT} for line in lines]


def test_the_classifier_learned_confusion_and_statistics(trained):
    state = trained["bacl", "accumulated"]
    assert state["roi_head.bbox_head.loss_cls.class_count"].sum() > IMAGES
    assert state["roi_head.hallucination.seen"].sum() > 5


@pytest.mark.parametrize(
    ("images", "limit", "parts"), [(16, None, 1), (16, 2, 8), (16, 3, 8), (6, 4, 2), (7, 3, 7)]
)
def test_micro_batches_are_few_and_equal(images, limit, parts):
    assert fewest_equal_parts(images, limit) == parts


def test_a_total_that_the_gpus_cannot_share_is_refused(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from mmengine.config import Config

    from pipeline.training.loop import divide

    settings = tiny(root)
    settings = replace(settings, train=replace(settings.train, batch_size=10))
    config = Config(dict(train_dataloader=dict(batch_size=10)))
    with pytest.raises(ValueError, match=r"train\.batch_size is 10, which 4 ranks .* cannot share"):
        divide(config, settings, 4)
