"""Trains one line of training_step.py, which calls this, and prints its figures as JSON.

    python benchmarks/measured_step.py FOLDER OPTIONS [METHOD ours|mmdet]

Without a method it prepares FOLDER: the data, and weights for the classifier to start from.
"""

import json
import os
import resource
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path

import plain_mmdet
import torch
from mmengine.hooks import Hook
from sample import settings_of

from pipeline.params import Classifier
from pipeline.training.device import take_device
from pipeline.training.train import build_runner

COUNTED = 10  # steps in which synchronisations are counted, after those that are timed
SCALE = 1333 / 800
START = Path("start.pth")


def main():
    folder, text, *line = sys.argv[1:]
    options = json.loads(text)
    os.chdir(folder)
    meter = Meter(options)
    settings = settings_at_size(options, meter.steps)
    take_device(settings.compute.gpus)
    if line:
        runner = runner_of(settings, *line)
        runner.register_hook(meter, "LOWEST")
        runner.train()
        print(json.dumps(meter.figures()))
    else:
        prepare(settings)


def prepare(settings):
    settings.data.prepare(Path("data/sample"))
    model = build_runner(settings, "bce", Path("work", "start"), None).model
    model.init_weights()
    torch.save(model.state_dict(), START)


def runner_of(settings, method, by):
    work = Path("work", f"{method}_{by}_{time.time_ns()}")
    if by == "mmdet":
        return plain_mmdet.build_runner(settings, method, work)
    start = START if isinstance(settings.method(method), Classifier) else None
    return build_runner(settings, method, work, start)


def settings_at_size(options, steps):
    """The preset with its image sizes brought to a short edge of ``image_size``."""
    settings = settings_of(
        "lvis_v1_r50", Path(options["shared"]).resolve(), Path.cwd(), steps, options["batch"],
        workers=options["workers"], images_per_gpu=options["batch"],
    )  # fmt: skip
    size = options["image_size"]

    def resized(block):
        augmentation = block.augmentation
        edges = [edge * size // 800 for edge in augmentation.short_edges]
        canvas = augmentation.canvas and [edge * size // 800 for edge in augmentation.canvas]
        return replace(block, augmentation=replace(augmentation, short_edges=edges, canvas=canvas))

    return replace(
        settings,
        detector=replace(settings.detector, image_scale=[round(size * SCALE), size]),
        representation={n: resized(b) for n, b in settings.representation.items()},
        classifier={n: resized(b) for n, b in settings.classifier.items()},
    )


class Meter(Hook):
    """Times ``steps`` whole steps after a ``warmup``; on a GPU the synchronisations of some more.

    Between the end of one step and that of the next lies everything that training does.
    """

    def __init__(self, options):
        self.on_gpu = options["device"] == "cuda"
        self.batch = options["batch"]
        self.first = options["warmup"]
        self.last = self.first + options["steps"]
        self.steps = self.last + COUNTED * self.on_gpu

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        done = batch_idx + 1
        if done == self.first:
            self.began = self.now()
        elif done == self.last:
            self.seconds = self.now() - self.began
            if self.on_gpu:
                self.count()
        elif done == self.steps:
            torch.cuda.set_sync_debug_mode("default")

    def now(self):
        if self.on_gpu:
            torch.cuda.synchronize()
        return time.perf_counter() if self.on_gpu else time.process_time()

    def count(self):
        """torch warns from here on of every operation that waits for the device."""
        self.waits = 0
        warnings.simplefilter("always")
        warnings.showwarning = self.heard
        torch.cuda.set_sync_debug_mode("warn")

    def heard(self, message, *where):
        self.waits += "synchronizing CUDA operation" in str(message)

    def figures(self):
        steps = self.last - self.first
        found = {"images_per_second": self.batch * steps / self.seconds, "peak_gb": self.peak()}
        return {**found, "waits_a_step": self.waits / COUNTED} if self.on_gpu else found

    def peak(self):
        if self.on_gpu:
            return torch.cuda.max_memory_allocated() / 2**30
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
