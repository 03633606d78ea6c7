"""Leases of GPUs by real processes, on GPUs that only a fake `nvidia-smi` knows."""

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from pipeline.compute import leases
from pipeline.compute.leases import leased
from pipeline.params import Compute

FOLDER = leases.FOLDER
HOLDER = """
import os, sys, time
from pipeline.compute.leases import leased
from pipeline.params import Compute
gpus, seconds, log = sys.argv[1:]
gpus = gpus if gpus == "auto" else int(gpus)
def note(what, devices):
    with open(log, "a") as file:
        file.write(f"{what} {os.getpid()} {','.join(devices)}\\n")
with leased(Compute(gpus=gpus), lambda count: True) as devices:
    note("begin", devices)
    time.sleep(float(seconds))
    note("end", devices)
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """``machine(n)``: the UUIDs of n new GPUs; their lock files go when the test has ended."""
    made = []

    def machine(count, kind="GPU"):
        names = [f"{kind}-{uuid.uuid4()}" for _ in range(count)]
        made.extend(names)
        lines = [f"GPU {i}: Fake (UUID: {name})" for i, name in enumerate(names)]
        if kind == "MIG":
            instances = [f"  MIG 1g.5gb  Device  {i}: (UUID: {n})" for i, n in enumerate(names)]
            lines = ["GPU 0: Fake (UUID: GPU-0)", *instances]
        (tmp_path / "nvidia-smi").write_text("\n".join(["#!/bin/sh", "cat <<END", *lines, "END"]))
        (tmp_path / "nvidia-smi").chmod(0o755)
        return names

    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    yield machine
    for name in made:
        (FOLDER / f"{name}.lock").unlink(missing_ok=True)


@pytest.fixture
def hold(root, tmp_path):
    """``hold(gpus, seconds)`` starts a process that leases; none is left at the end."""
    started = []

    def hold(gpus, seconds, **environment):
        command = [sys.executable, "-c", HOLDER, str(gpus), str(seconds), str(tmp_path / "log")]
        process = subprocess.Popen(
            command, cwd=root, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        return process

    yield hold
    for process in started:
        process.kill()
        process.communicate()


def log(tmp_path):
    """(what, process, names) in the order in which they happened."""
    path = tmp_path / "log"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(what, pid, set(names.split(","))) for what, pid, names in map(str.split, lines)]


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def check_never_shared(events):
    held = set()
    for what, _, names in events:
        if what == "begin":
            assert not held & names
            held |= names
        else:
            held -= names


def lease(fits=lambda count: True, **compute):
    with leased(Compute(**compute), fits) as devices:
        return devices


def test_many_processes_never_hold_the_same_gpu(machine, hold, tmp_path):
    names = machine(2)
    processes = [hold(1, 0.3) for _ in range(6)]
    assert [process.wait(timeout=120) for process in processes] == [0] * 6
    events = log(tmp_path)
    assert len(events) == 12
    check_never_shared(events)
    assert set.union(*(used for _, _, used in events)) == set(names)


def test_waiters_for_one_and_for_two_all_end(machine, hold, tmp_path):
    machine(2)
    processes = [hold(n, 0.2) for n in (2, 1, 2, 1, 2, "auto")]
    assert [process.wait(timeout=120) for process in processes] == [0] * 6
    events = log(tmp_path)
    check_never_shared(events)
    assert sorted(len(used) for what, _, used in events if what == "begin")[-3:] == [2, 2, 2]


def test_a_waiter_is_told_by_whom_and_follows_a_killed_holder(machine, hold, tmp_path):
    machine(1)
    first = hold(1, 600, DVC_STAGE="train_representation@bce", DVC_ROOT="/some/project")
    wait_for(lambda: len(log(tmp_path)) == 1)
    second = hold("auto", 0)
    line = second.stdout.readline()
    assert line.startswith(f"waiting for a free GPU: GPU 0 is used by pid {first.pid} of ")
    assert line.endswith("(stage train_representation@bce of /some/project)\n")
    first.send_signal(signal.SIGKILL)
    assert second.wait(timeout=60) == 0
    assert [what for what, *_ in log(tmp_path)] == ["begin", "begin", "end"]


def test_different_visible_gpus_do_not_wait_for_each_other(machine, hold, tmp_path, monkeypatch):
    names = machine(2)
    hold(1, 600, CUDA_VISIBLE_DEVICES="1")
    wait_for(lambda: len(log(tmp_path)) == 1)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", names[0][:12])
    assert lease(gpus="auto") == [names[0]]


def test_auto_takes_what_is_free_and_fits(machine, hold, tmp_path):
    names = machine(4)
    assert lease(lambda count: 16 % count == 0) == names
    hold(1, 600)
    wait_for(lambda: len(log(tmp_path)) == 1)
    assert lease(lambda count: 16 % count == 0) == names[1:3]
    assert lease() == names[1:]


def test_a_released_gpu_is_free_in_the_same_process(machine):
    names = machine(1)
    assert lease(gpus=1) == lease(gpus=1) == names


def test_sharing_takes_no_lease(machine, hold, tmp_path):
    names = machine(3)
    hold(3, 600)
    wait_for(lambda: len(log(tmp_path)) == 1)
    assert lease(lambda count: count < 3, share_gpus=True) == names[:2]
    assert lease(gpus=1, share_gpus=True) == names[:1]


def test_the_cpu(machine):
    machine(2)
    assert lease(gpus=0) == []
    machine(0)
    assert lease(gpus="auto") == []


def test_more_than_there_are_is_refused_at_once(machine):
    machine(2)
    with pytest.raises(ValueError, match=r"compute\.gpus is 3, but only 2 are visible"):
        lease(gpus=3)
    with pytest.raises(ValueError, match="none of 1 to 2 GPUs can share it"):
        lease(lambda count: False, gpus="auto")
    machine(0)
    with pytest.raises(ValueError, match=r"compute\.gpus is 1, but no GPU is visible"):
        lease(gpus=1)


def test_of_mig_instances_a_process_gets_one(machine):
    names = machine(3, "MIG")
    assert lease(gpus="auto") == names[:1]
    with pytest.raises(ValueError, match="MIG instances, of which a process can use 1"):
        lease(gpus=2)


def test_a_file_without_a_lock_means_nothing(machine):
    (name,) = machine(1)
    lease(gpus=0)
    leases.FOLDER.mkdir(exist_ok=True)
    (leases.FOLDER / f"{name}.lock").write_text("pid 1 of root (stage x of /y)")
    assert lease(gpus=1) == [name]


def test_everybody_may_use_the_files(machine, tmp_path, monkeypatch):
    (name,) = machine(1)
    monkeypatch.setattr(leases, "FOLDER", tmp_path / "leases")
    before = os.umask(0o077)
    try:
        lease(gpus=1)
    finally:
        os.umask(before)
    assert (tmp_path / "leases").stat().st_mode & 0o7777 == 0o1777
    assert (tmp_path / "leases" / f"{name}.lock").stat().st_mode & 0o777 == 0o666


NOBODY = """
import os, sys
from pathlib import Path
from pipeline.compute import leases
os.setgid(65534)
os.setuid(65534)
leases.FOLDER = Path(sys.argv[1])
lock = leases.open_lock(sys.argv[2])
print(lock.writable(), leases.try_lock(lock))
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_file_of_another_user_that_may_only_be_read_is_locked_too(root):
    folder = Path("/tmp", f"leases-{uuid.uuid4()}")  # tmp_path is closed to others
    folder.mkdir()
    try:
        (folder / "GPU-x.lock").touch(0o644)
        command = [sys.executable, "-c", NOBODY, str(folder), "GPU-x"]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True)
        assert done.stdout == "False True\n", done.stderr
    finally:
        (folder / "GPU-x.lock").unlink()
        folder.rmdir()


def test_a_folder_that_cannot_be_used_is_named(machine, tmp_path, monkeypatch):
    machine(1)
    monkeypatch.setattr(leases, "FOLDER", tmp_path / "leases")
    (tmp_path / "leases").write_text("a file")
    with pytest.raises(ValueError, match=r"leases: .*remove it, or set compute.share_gpus"):
        lease(gpus=1)
