"""The section `compute`: where training and prediction run. No result depends on it."""

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from pipeline.messages import shown
from pipeline.params.limits import limited

TIME_LIMIT = re.compile(r"(\d+-)?\d+(:\d\d){0,2}", re.ASCII)  # as `sbatch --time` takes it
OWN_OPTIONS = {
    "nodes": "compute.slurm.nodes",
    "time": "compute.slurm.time_limit",
    "partition": "compute.slurm.partition",
    "gpus-per-node": "compute.gpus",
    "ntasks-per-node": "compute.gpus or compute.processes",
    "signal": "compute.slurm.signal_seconds",
    "array": "not for a stage, which is one job",
    "chdir": "the project's folder",
    "output": "in .checkpoints/<run>/slurm/",
    "error": "in .checkpoints/<run>/slurm/",
}


@dataclass(frozen=True, kw_only=True)
class Slurm:
    """What `backend: slurm` asks for; read by that backend only.

    ``time_limit`` of one job, as sbatch takes it ("4:00:00", "1-00:00:00"); ``signal_seconds``
    before it, or before a preemption, the job saves and is submitted again. ``options`` are any
    other long options of sbatch, ``setup`` shell lines that run on the first node before the job.
    """

    nodes: int = limited(1, low=1)
    time_limit: str = "24:00:00"
    partition: str | None = None
    signal_seconds: int = limited(120, low=1)
    setup: list[str] = ()
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        if not TIME_LIMIT.fullmatch(self.time_limit):
            raise ValueError(
                f"compute.slurm.time_limit is {shown(self.time_limit)}; it takes minutes, "
                "HH:MM:SS or D-HH:MM:SS, in quotes"
            )
        if self.signal_seconds >= seconds_of(self.time_limit):
            raise ValueError(
                f"compute.slurm.signal_seconds is {self.signal_seconds}, which is not before the "
                f"end of a job of {self.time_limit}; lower it, or raise compute.slurm.time_limit"
            )
        for option in self.options:
            if option.replace("_", "-") in OWN_OPTIONS:
                own = OWN_OPTIONS[option.replace("_", "-")]
                raise ValueError(f"compute.slurm.options has {option!r}; that is {own}; remove it")


def seconds_of(time_limit: str) -> int:
    """Of sbatch's forms: minutes, MM:SS, HH:MM:SS, and D-HH, D-HH:MM, D-HH:MM:SS."""
    days, dash, rest = time_limit.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    if not dash:
        parts = [0, *parts, 0] if len(parts) == 1 else [0] * (3 - len(parts)) + parts
    hours, minutes, seconds = [*parts, 0, 0][:3]
    return int(days or 0) * 86400 + hours * 3600 + minutes * 60 + seconds


@dataclass(frozen=True, kw_only=True)
class Compute:
    """``gpus`` and ``processes`` are those of one node.

    ``gpus: auto`` takes every visible GPU that is free, and the CPU where there is none.
    ``processes`` share the work on a CPU (``gpus: 0``). ``images_per_gpu``: more than these are
    divided over accumulation steps (left out: none). ``workers`` load data for each process.
    ``checkpoint_minutes``: a training saves so often, besides after every epoch.
    """

    backend: Literal["local", "slurm"] = "local"
    gpus: int | Literal["auto"] = limited("auto", low=0)
    processes: int | None = limited(None, low=1)
    share_gpus: bool = False
    workers: int = limited(1, low=0)
    images_per_gpu: int | None = limited(None, low=1)
    checkpoint_minutes: float = limited(10.0, low=0)
    slurm: Slurm = Slurm()

    def __post_init__(self):
        if self.processes and self.gpus != 0:
            raise ValueError(
                f"compute.processes is {self.processes} and compute.gpus is {self.gpus}; processes "
                "are for a CPU: set gpus to 0, or remove processes (each GPU gets one)"
            )
        if self.backend == "slurm" and self.gpus == "auto":
            raise ValueError(
                "compute.gpus is auto, which SLURM cannot answer before the job runs; set it to "
                "the number of GPUs a node, or to 0"
            )
