"""What training and prediction give on the device: precisions, ranks, parts of a prediction."""

import math
import os
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from preset_steps import train
from sample import ROOT
from torch import distributed

from gpu_parts.chain import copied, stage
from pipeline import params
from pipeline.detection.features.hallucination import FeatureHallucination
from pipeline.detection.losses.fcbl import FCBL
from pipeline.params import Compute
from pipeline.training import predict_task
from pipeline.training.device import check_precision, take_device
from pipeline.training.predict import BATCH_SIZE, batches_of, load_model, write_parts

CLASSES, FEATURES = 12, 32
CLOSE = 0.03  # of the loss in float32


def precisions(device):
    """Both stages of the smoke preset: losses are finite, and close to those of fp32."""
    totals = {}
    for precision in ("fp32", "bf16", "fp16") if device == "cuda" else ("fp32",):
        try:
            check_precision(precision)
        except ValueError:  # an older card
            continue
        totals[precision] = total_losses(precision)
    for precision, found in totals.items():
        for name, value in found.items():
            apart = abs(value / totals["fp32"][name] - 1)
            assert math.isfinite(value), f"{name} in {precision} has a loss of {value}"
            assert apart < CLOSE, f"{name}'s loss in {precision} is {apart:.1%} off fp32's"
    return totals


def total_losses(precision) -> dict[str, float]:
    """So slow a learning rate that a step which fp16 skips makes no difference."""
    folder = Path(precision).resolve()
    folder.mkdir()
    os.chdir(folder)
    own = params.load(ROOT / "configs/presets/smoke.yaml")
    short = dict(epochs=1, milestones=[])
    settings = replace(
        own,
        train=replace(own.train, precision=precision, learning_rate=1e-5),
        representation={n: replace(b, **short) for n, b in own.representation.items()},
        classifier={"bacl": replace(own.classifier["bacl"], **short)},
        compute=Compute(workers=0),
    )
    take_device(settings.compute.gpus)
    settings.data.prepare(Path("data", settings.data.name))
    losses, _, model = train(settings, "bce", None)
    torch.save(model.state_dict(), "bce.pth")
    of_both = {"bce": losses, "bacl": train(settings, "bacl", Path("bce.pth"))[0]}
    os.chdir(folder.parent)
    return {name: losses["loss"] for name, losses in of_both.items()}


def ranks(device):
    """Two processes learn the statistics and the gradients of one on all rows."""
    gpus = torch.cuda.device_count() if device == "cuda" else 0
    backend = "nccl" if gpus > 1 else "gloo"
    torch.multiprocessing.spawn(rank, args=(backend, gpus), nprocs=2)
    alone = learned(*(torch.cat(parts) for parts in zip(*map(rows_of, (0, 1)), strict=True)))
    for number in (0, 1):
        found = torch.load(f"{number}.pth", map_location="cpu")
        torch.testing.assert_close(found, alone, rtol=1e-4, atol=1e-5)
    return {"backend": backend, "GPUs": min(gpus, 2)}


def rows_of(number):
    """Logits, labels and embeddings of a rank."""
    drawn = torch.Generator().manual_seed(number)
    logits = torch.randn(40, CLASSES + 1, generator=drawn)
    labels = torch.randint(0, CLASSES + 1, (40,), generator=drawn)
    return logits, labels, torch.randn(40, FEATURES, generator=drawn)


def rank(number, backend, gpus):
    device = torch.device("cuda", number % gpus) if gpus else torch.device("cpu")
    if gpus:
        torch.cuda.set_device(device)
    place = f"file://{Path('meeting').resolve()}"
    distributed.init_process_group(backend, init_method=place, rank=number, world_size=2)
    wrap = torch.nn.parallel.DistributedDataParallel
    found = learned(*(rows.to(device) for rows in rows_of(number)), wrap)
    torch.save(found, f"{number}.pth")
    distributed.destroy_process_group()


def learned(logits, labels, embeddings, wrap=lambda model: model):
    """State of FCBL and hallucination after a step, and the gradient of a layer."""
    torch.manual_seed(0)
    loss = FCBL(CLASSES).to(logits.device)
    features = FeatureHallucination(CLASSES, FEATURES).to(logits.device)
    layer = torch.nn.Linear(FEATURES, 4).to(logits.device)
    loss(logits, labels)
    features.record(embeddings, labels.clamp(max=CLASSES - 1))
    model = wrap(layer)  # kept: without it nothing would be reduced
    model(embeddings).square().mean().backward()
    state = {**loss.state_dict(), **features.state_dict(), "gradient": layer.weight.grad}
    return {name: value.cpu() for name, value in state.items()}


def prediction(device):
    """A prediction part by part, each with a loader of its own, has the rows of one at once."""
    small = {"val_images: 24": "val_images: 80", "epochs: 4": "epochs: 1", "milestones: [3]": ""}
    folder = copied("smoke", device, small)
    for name, *method in (["check"], ["prepare"], ["train_representation", "softmax"]):
        stage(folder, device, name, *method)
    os.chdir(folder)
    settings = params.load(Path("params.yaml"))
    take_device(settings.compute.gpus)
    task = predict_task.prediction(settings, "softmax")
    model = load_model(settings, Path("models/softmax"))
    every = range(len(task.parts()))
    at_once = predicted(task, model, [every])
    in_parts = predicted(task, model, [[part] for part in every])
    pd.testing.assert_frame_equal(in_parts, at_once, check_exact=True)
    return {"parts": len(every), "detections": len(at_once)}


def predicted(task, model, calls):
    for parts in calls:
        write_parts(task, model, {k: batches_of(task.images_of(k), BATCH_SIZE) for k in parts})
    task.collect()
    return pd.read_parquet(f"predictions/{task.name}.parquet")
