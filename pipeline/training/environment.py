"""``environment.json``: what a model was trained with, and what it cost."""

import importlib.metadata
import os
import platform
import resource
import socket
import time
from datetime import datetime, timezone
from pathlib import Path

import torch
from mmengine.dist import get_world_size

from pipeline.params import Params
from pipeline.runs import git_state

PACKAGES = ("torch", "onedl-mmcv", "onedl-mmengine", "onedl-mmdetection", "numpy")


def environment(params: Params, name: str, scalars: list[dict]) -> dict:
    """Cost is summed over the logged iterations: a run that was resumed is not dearer."""
    seconds = training_seconds(scalars)
    started = datetime.fromtimestamp(time.time() - seconds, timezone.utc)
    stage = params.method(name).stage
    return {
        "stage": stage,
        "name": name,
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "epochs": params.method(name).epochs,
        "iterations": scalars[-1]["step"],
        "peak_memory_mb": peak_memory_mb(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else cpu_name(),
        "ranks": get_world_size(),
        "python": platform.python_version(),
        **{package: importlib.metadata.version(package) for package in PACKAGES},
        "cores": os.cpu_count(),
        "git_commit": git_state.commit(),
        "git_dirty": git_state.is_dirty(),
        "hostname": socket.gethostname(),
    }


def training_seconds(scalars):
    steps = [0, *(line["step"] for line in scalars)]
    return sum(
        line["time"] * (step - before)
        for line, before, step in zip(scalars, steps, steps[1:], strict=False)
    )


def peak_memory_mb():
    """Of the GPU where there is one, else of this process and its data-loading workers."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() // 2**20
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_maxrss for u in usage) // 1024


def cpu_name():
    """As Linux names it; elsewhere the architecture."""
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text(errors="replace").splitlines() if cpus.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else f"{platform.machine()} CPU"
