"""Two workers of DVC's own queue, on two fake GPUs: each experiment gets one of its own."""

import os
import subprocess
import sys
import time
import uuid
from pathlib import Path

import psutil
import pytest

from pipeline.compute import leases

STAGE = """
import os, time
from pipeline.compute.leases import leased
from pipeline.params import Compute
log = os.path.join(os.environ["DVC_ROOT"], "log")
with leased(Compute(gpus=1), lambda count: True) as (gpu,):
    print(gpu, file=open(log, "a"), flush=True)
    for _ in range(600):  # until both experiments have a GPU
        if len(open(log).readlines()) == 2:
            break
        time.sleep(0.1)
open("out", "w").write(gpu)
"""
DVC_YAML = """
stages:
  train: {cmd: exec python stage.py, params: [number], outs: [out]}
"""


@pytest.fixture
def project(tmp_path, root, monkeypatch):
    names = [f"GPU-{uuid.uuid4()}" for _ in range(2)]
    fake = tmp_path / "bin" / "nvidia-smi"
    fake.parent.mkdir()
    lines = [f"echo 'GPU {i}: Fake (UUID: {name})'" for i, name in enumerate(names)]
    fake.write_text("\n".join(["#!/bin/sh", *lines]))
    fake.chmod(0o755)
    path = (str(fake.parent), str(Path(sys.executable).parent), os.environ["PATH"])
    monkeypatch.setenv("PATH", os.pathsep.join(path))
    monkeypatch.setenv("PYTHONPATH", str(root))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "tests")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "tests")
    folder = tmp_path / "project"
    folder.mkdir()
    for name, text in (("stage.py", STAGE), ("dvc.yaml", DVC_YAML), ("params.yaml", "number: 0")):
        (folder / name).write_text(text)
    for command in ("git init -q", "dvc init -q", "git add -A", "git commit -qm start"):
        run(folder, *command.split())
    yield folder, set(names)
    subprocess.run(["dvc", "queue", "stop", "--kill"], cwd=folder, timeout=120)
    end_what_is_left(folder)
    for name in names:
        (leases.FOLDER / f"{name}.lock").unlink(missing_ok=True)


def run(folder, *command):
    """Its output goes to a file: a pipe would stay open as long as a worker that it leaves."""
    output = folder.with_name("output")
    with open(output, "w") as file:
        done = subprocess.run(command, cwd=folder, stdout=file, stderr=file, timeout=240)
    assert done.returncode == 0, output.read_text()


def end_what_is_left(folder, seconds=60):
    """A worker may stay for minutes, with nothing to do; it is ours, by its folder."""
    deadline = time.monotonic() + seconds
    while left := [process for process in psutil.process_iter() if works_in(process, folder)]:
        assert time.monotonic() < deadline, left
        for process in left:
            process.kill()
        time.sleep(0.2)


def works_in(process, folder):
    try:
        alive = process.status() != psutil.STATUS_ZOMBIE
        return alive and Path(process.cwd()).is_relative_to(folder)
    except psutil.Error:
        return False


def test_two_workers_of_the_queue_get_a_gpu_each(project):
    folder, names = project
    for number in (1, 2):
        run(folder, "dvc", "exp", "run", "--queue", "-S", f"number={number}")
    run(folder, "dvc", "queue", "start", "-j", "2")
    deadline = time.monotonic() + 180
    used = []
    while len(used) < 2:
        assert time.monotonic() < deadline, used
        time.sleep(0.2)
        used = (folder / "log").read_text().split() if (folder / "log").exists() else []
    assert set(used) == names
