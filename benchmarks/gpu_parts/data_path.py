"""Whether the processes that read images keep up with the GPU."""

import os
import time
from pathlib import Path

import torch
from measured_step import settings_at_size

from gpu_parts import Missed
from gpu_parts.machine import shared_folder
from pipeline.training.device import take_device
from pipeline.training.train import build_runner


def saturation(device):
    """Images/s that the workers give, and that the step of a model takes whose images are there."""
    shared, cores = shared_folder(), len(os.sched_getaffinity(0))
    figures, missed = {}, []
    counts = [n for n in (1, 2, 4, 8, 16, 32) if n < cores] or [1]
    for method in ("softmax_1x", "bce"):
        rates = {n: round(given(shared, method, n), 1) for n in counts}
        takes = round(appetite(shared, method), 1)
        enough = next((n for n, rate in rates.items() if rate >= takes), None)
        figures[method] = {"step": takes, "by workers": rates, "enough": enough}
        missed += [method] if enough is None else []
    if missed:
        raise Missed(f"{' and '.join(missed)}: {cores} cores do not feed the step", figures)
    return figures


def runner_of(shared, method, workers):
    options = dict(shared=str(shared), batch=8, workers=workers, image_size=800)
    settings = settings_at_size(options, steps=12)
    take_device(settings.compute.gpus)
    settings.data.prepare(Path("data/sample"))
    return build_runner(settings, method, Path("work", f"{method}_{workers}"), None)


def given(shared, method, workers) -> float:
    """Images/s of the data loader after its first batch, when its workers have started."""
    batches = iter(runner_of(shared, method, workers).train_dataloader)
    next(batches)
    began, images = time.perf_counter(), 0
    for batch in batches:
        images += len(batch["inputs"])
    return images / (time.perf_counter() - began)


def appetite(shared, method, steps=10) -> float:
    runner = runner_of(shared, method, workers=0)
    batch = next(iter(runner.train_dataloader))
    optimizer = runner.build_optim_wrapper(runner.optim_wrapper)
    model = runner.model.train()
    for step in range(steps + 3):
        if step == 3:
            torch.cuda.synchronize()
            began = time.perf_counter()
        model.train_step(batch, optimizer)
    torch.cuda.synchronize()
    return steps * len(batch["inputs"]) / (time.perf_counter() - began)
