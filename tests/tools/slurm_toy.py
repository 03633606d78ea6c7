"""A task that counts, and its launcher: what `pipeline.compute.slurm` does without a detector.

python tests/tools/slurm_toy.py FOLDER [--steps 5 --seconds 0.2 --fail-at 3 --name value
    --slurm JSON]
"""

import argparse
import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from pipeline.compute.signals import PREEMPTED, Preempted, asked_to_stop, stop_on_signals
from pipeline.compute.slurm import run_on_slurm
from pipeline.params import Compute, Slurm


@dataclass
class Toy:
    settings: SimpleNamespace
    folder: Path
    steps: int
    seconds: float
    fail_at: int | None
    name: str = "toy"

    def saved(self):
        return len(list(self.folder.glob("step_*")))

    def finished(self):
        return self.saved() == self.steps

    def check_ranks(self, count):
        pass

    def work(self):
        """Each step's file holds the job and the number of ranks that took it together."""
        print(f"starting at {self.saved()}", flush=True)
        if self.name == "idle":  # as one that is always stopped before its first step
            return
        with asked_to_stop() as stop:
            while not self.finished() and not together(max, int(stop.asked is not None)):
                self.step(self.saved())

    def step(self, number):
        time.sleep(self.seconds)
        if number == self.fail_at:
            raise {"key": KeyError, "value": ValueError}[self.name](f"step {number} is wrong")
        ranks = together(sum, 1)
        if os.environ["RANK"] == "0":
            job, restarts = os.environ["SLURM_JOB_ID"], os.environ.get("SLURM_RESTART_COUNT", "0")
            node = os.environ["SLURMD_NODENAME"]
            (self.folder / f"step_{number:03}").write_text(f"{job} {restarts} {node} {ranks}")
            print(f"step {number}", flush=True)
        together(sum, 0)


def together(how, number):
    """``how`` of the ranks' numbers, on all of them."""
    if os.environ["WORLD_SIZE"] == "1":
        return number
    import torch
    from torch import distributed

    value = torch.tensor(number)
    operations = {max: distributed.ReduceOp.MAX, sum: distributed.ReduceOp.SUM}
    distributed.all_reduce(value, operations[how])
    return int(value)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.2)
    parser.add_argument("--fail-at", type=int)
    parser.add_argument("--name", default="toy")
    parser.add_argument("--patience", type=float, default=120)
    parser.add_argument("--slurm", type=json.loads, default={})
    arguments = parser.parse_args()
    compute = Compute(backend="slurm", gpus=0, processes=1, slurm=Slurm(**arguments.slurm))
    settings = SimpleNamespace(compute=compute)
    arguments.folder.mkdir(exist_ok=True)
    toy = Toy(settings, arguments.folder.resolve(), arguments.steps, arguments.seconds,
              arguments.fail_at, arguments.name)  # fmt: skip
    stop_on_signals()
    try:
        run_on_slurm(toy, arguments.patience)
    except (Preempted, KeyboardInterrupt):
        sys.exit(PREEMPTED)
    except ValueError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
