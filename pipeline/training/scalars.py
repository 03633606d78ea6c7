"""Hooks that record a run."""

import json
import math
from pathlib import Path

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from pipeline.compute.chain_progress import with_whole_run
from pipeline.files import atomic_path
from pipeline.training.usage import system_usage


@HOOKS.register_module()
class ScalarsHook(Hook):
    """Prints the smoothed scalars and the ETA every interval, and appends them to scalars.jsonl."""

    priority = "LOW"

    def __init__(self, interval: int):
        self.interval = interval

    @master_only
    def before_train(self, runner):
        self.path = Path(runner.work_dir, "scalars.jsonl")
        forget_after(self.path, runner.iter)

    @master_only
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        last = batch_idx + 1 == len(runner.train_dataloader)
        if not (last or self.every_n_inner_iters(batch_idx, self.interval)):
            return
        tags, text = runner.log_processor.get_log_after_iter(runner, batch_idx, "train")
        print(with_whole_run(text, runner.message_hub.get_info("eta")), flush=True)
        line = {"step": runner.iter + 1, "epoch": runner.epoch + 1}
        # a step that fp16 skips has an infinite gradient norm, which JSON cannot hold
        line |= {k: float(v) for k, v in tags.items() if math.isfinite(v)}
        line["images_per_second"] = runner.train_dataloader.batch_sampler.batch_size / tags["time"]
        line |= system_usage()
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


class FollowHook(Hook):
    """Tells ``follow`` after every epoch where the scalars of the method ``name`` lie."""

    def __init__(self, name: str, follow):
        self.name = name
        self.follow = follow

    @master_only
    def after_train_epoch(self, runner):
        self.follow({self.name: Path(runner.work_dir, "scalars.jsonl")})


def forget_after(path, step):
    """Drop what a killed run logged after the checkpoint that this one resumes from."""
    if not path.is_file():
        return
    kept = [line for line in path.read_text().splitlines() if step_of(line) <= step]
    with atomic_path(path) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in kept))


def step_of(line):
    try:
        return json.loads(line)["step"]
    except json.JSONDecodeError:  # half a line: the process was killed while writing it
        return float("inf")
