"""Checkpoints: when a training saves, and which file a killed one goes on from."""

import os
import time
import zipfile
from pathlib import Path

import torch
from mmengine.dist import get_world_size, master_only
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from torch import distributed

from pipeline.compute.signals import asked_to_stop
from pipeline.files import atomic_path

KEPT = 2


class Stopped(Exception):
    """The training was asked to stop, and has saved."""


@HOOKS.register_module()
class AtomicCheckpointHook(Hook):
    """Saves after every epoch, every ``minutes`` in between, and at once when asked to stop.

    A file gets its name when it is complete and on the disk, before the oldest is removed. The
    signals are noted while the training runs, and looked at between two steps.
    """

    priority = "LOWEST"  # after the schedulers, whose state is saved

    def __init__(self, minutes: float = 10.0):
        self.minutes = minutes
        self.stop = None

    def before_train(self, runner):
        self.stop = StopVote()
        self.saved_at = time.monotonic()

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if batch_idx + 1 == len(runner.train_dataloader):
            return  # the epoch's own checkpoint follows
        if self.stop.wanted():
            self.save(runner, runner.iter + 1, by_epoch=False)
            raise Stopped
        if time.monotonic() - self.saved_at > 60 * self.minutes:
            self.save(runner, runner.iter + 1, by_epoch=False)

    def after_train_epoch(self, runner):
        self.save(runner, runner.iter, by_epoch=True)
        if self.stop.wanted() and runner.epoch + 1 < runner.max_epochs:
            raise Stopped

    def after_train(self, runner):
        self.stop.finish()

    @master_only
    def save(self, runner, step, by_epoch):
        """All ranks hold the same state: the first one saves, and the others need not wait."""
        folder = Path(runner.work_dir)
        with atomic_path(folder / f"step_{step}.pth") as temporary:
            # `by_epoch` makes mmengine count the epoch or the step that is about to end
            runner.save_checkpoint(str(folder), temporary.name, by_epoch=by_epoch)
            put_on_disk(temporary)
        for old in checkpoint_files(folder)[KEPT:]:
            old.unlink()
        self.saved_at = time.monotonic()
        if self.stop.asked:
            print(f"saved step {step} of {runner.max_iters}", flush=True)


class StopVote:
    """Whether any rank was asked to stop.

    With several ranks the answer is that of the call before, so that all stop after the same step
    and none waits for the others' answer. It goes over the CPU, and the GPU is not waited for.
    """

    def __init__(self):
        self.signals = asked_to_stop.current
        self.group = distributed.new_group(backend="gloo") if get_world_size() > 1 else None
        self.pending = None

    @property
    def asked(self):
        return self.signals is not None and self.signals.asked is not None

    def wanted(self) -> bool:
        if self.group is None:
            return self.asked
        before, vote = self.pending, torch.tensor(int(self.asked))
        work = distributed.all_reduce(vote, group=self.group, async_op=True)
        self.pending = (work, vote)
        if before is None:
            return False
        before[0].wait()
        if before[1].item() == 0:
            return False
        self.finish()
        return True

    def finish(self):
        """Wait for the last vote, which nobody asks about."""
        if self.pending:
            self.pending[0].wait()
            self.pending = None


def put_on_disk(path):
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def checkpoint_files(folder) -> list[Path]:
    """The checkpoints in ``folder``, newest first."""
    return sorted(
        Path(folder).glob("step_*.pth"), key=lambda p: int(p.stem.split("_")[1]), reverse=True
    )


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that is whole; a damaged one is set aside with a message."""
    for leftover in folder.glob(".step_*.pth"):  # of a process that was killed while it saved
        leftover.unlink()
    for path in checkpoint_files(folder):
        if is_whole(path):
            return path
        print(f"{path} is damaged; trying the one before", flush=True)
        path.replace(path.with_suffix(".damaged"))
    return None


def is_whole(path):
    """Whether every byte is as it was written: torch itself does not look at the checksums."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                return False
        torch.load(path, map_location="cpu", weights_only=False, mmap=True)
    except Exception:  # any damage: zip, pickle and runtime errors differ by place
        return False
    return True
