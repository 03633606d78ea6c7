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
    counts = [n for n in (1, 2, 4, 8, 16) if n < cores] or [1]
    for method in ("softmax_1x", "bce"):
        rates = {n: round(given(shared, method, n), 1) for n in counts}
        takes = round(appetite(shared, method), 1)
        enough = next((n for n, rate in rates.items() if rate >= takes), None)
        figures[method] = {"step": takes, "by workers": rates, "enough": enough}
        missed += [method] if enough is None else []
    if missed:
        raise Missed(f"{' and '.join(missed)}: {cores} cores do not feed the step", figures)
    return figures


def runner_of(shared, method, workers, steps):
    options = dict(shared=str(shared), batch=4, workers=workers, image_size=800)
    settings = settings_at_size(options, steps)
    take_device(settings.compute.gpus)
    settings.data.prepare(Path("data/sample"))
    return build_runner(settings, method, Path("work", f"{method}_{workers}"), None)


def given(shared, method, workers) -> float:
    """Images/s of the data loader, once the batches that its workers prepare ahead are used up."""
    loader = runner_of(shared, method, workers, steps=8 * workers).train_dataloader
    ahead = (1 + loader.prefetch_factor) * workers
    began, images = None, 0
    for number, batch in enumerate(loader, start=1):
        if number > ahead:
            images += len(batch["inputs"])
        elif number == ahead:
            began = time.perf_counter()
    return images / (time.perf_counter() - began)


def appetite(shared, method, steps=10) -> float:
    runner = runner_of(shared, method, 0, steps=1)
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
