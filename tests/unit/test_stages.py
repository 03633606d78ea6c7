"""A stage ends in one line where it can be helped, in a traceback where it is our own bug."""

import errno
import signal
import subprocess
import sys

import pytest
import torch

from pipeline.compute.signals import STOPPING
from pipeline.compute.stage import run_stage
from pipeline.failures import FILES, MEMORY, SHARED


@pytest.fixture(autouse=True)
def signals_as_before():
    numbers = (*STOPPING, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def failing(error):
    def stage():
        raise error

    return stage


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("wrong"), "error: wrong\n"),
        (OSError("disk full"), "error: disk full\n"),
        (ValueError("http://me:word@h/x?t=1 is bad"), "error: http://me:***@h/x?t=*** is bad\n"),
        (ValueError("of a worker\n  file\nValueError: last"), "error: ValueError: last\n"),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"),
            "error: out of GPU memory; lower compute.images_per_gpu\n",
        ),
        (
            RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error. It is ..."),
            f"error: {SHARED}\n",
        ),
        (
            RuntimeError("Caught in a worker\nunable to allocate shared memory(shm) for file </t>"),
            f"error: {SHARED}\n",
        ),
        (
            RuntimeError("unable to open shared memory object </t>: Too many open files (24)"),
            f"error: {FILES}\n",
        ),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9"),
            f"error: {MEMORY}\n",
        ),
        (MemoryError(), f"error: {MEMORY}\n"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), f"error: {MEMORY}\n"),
        (
            RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "),
            "error: a data-loading worker was killed; lower compute.workers if memory is short\n",
        ),
    ],
)
def test_one_line(error, line, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["stage"])
    with pytest.raises(SystemExit) as caught:
        run_stage(failing(error), "what it does")
    assert caught.value.code == 1
    assert capsys.readouterr().err == line


def test_a_bug_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr("sys.argv", ["stage"])
    with pytest.raises(RuntimeError, match="a bug"):
        run_stage(failing(RuntimeError("a bug")), "what it does")


def test_help_shows_the_command_that_works(root):
    command = [sys.executable, "-m", "stages.check", "--help"]
    text = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    assert text.startswith("usage: python -m stages.check [-h]")


def run_script(root, body, after=""):
    code = (
        "import os, signal\nfrom pipeline.compute.stage import run_stage\n"
        f"def stage():\n    {body}\nrun_stage(stage, 'what it does')\n{after}"
    )
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=root, capture_output=True, text=True)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1", "SIGUSR2", "SIGINT"])
def test_a_signal_ends_in_the_code_for_preempted(name, root):
    kill = f"os.kill(os.getpid(), signal.{name})"
    # a group's signal and, when dvc has died of it, the kernel's: the second finds a `finally`
    twice = f"try: {kill}\n    finally: os.kill(os.getpid(), signal.SIGTERM)"
    done = run_script(root, kill if name == "SIGINT" else twice)
    assert done.returncode == 85
    assert done.stderr == "stopped; the same command goes on from what is saved\n"


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1", "SIGUSR2", "SIGINT"])
def test_a_signal_after_the_work_still_keeps_dvc_from_the_next_stage(name, root):
    done = run_script(root, "print('done')", f"os.kill(os.getpid(), signal.{name})")
    assert (done.returncode, done.stdout, done.stderr) == (85, "done\n", "")


def test_a_signal_inside_a_callback_is_not_lost(root):
    """Python prints and drops what is raised there."""
    body = """import time, weakref
    class Thing: pass
    def callback(reference):
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(0.1)
    reference = weakref.ref(Thing(), callback)
    time.sleep(60)"""
    done = run_script(root, body)
    assert "Exception ignored" in done.stderr
    assert done.returncode == 85
