"""A stage that was killed is told of when it starts again, once."""

import contextlib
import os
import signal
import subprocess
import sys

import pytest

from pipeline.compute import last_run

STAGE = """
import os, signal, sys
from pipeline.compute.last_run import at_work
with at_work("train_classifier@bacl"):
    print("at work", flush=True)
    if sys.argv[1] == "wait":
        sys.stdin.read()
    elif sys.argv[1] == "fork" and os.fork() == 0:
        signal.pause()  # as a data-loading worker, which outlives its training for some seconds
    if sys.argv[1] != "end":
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def stage(root, tmp_path):
    started = []

    def start(what, project=tmp_path):
        process = subprocess.Popen(
            [sys.executable, "-c", STAGE, what], cwd=tmp_path, text=True, start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(root), "DVC_ROOT": str(project)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # and what it has forked
        process.communicate()


def lines(process):
    found = []
    while not found or found[-1] != "at work\n":
        found.append(process.stdout.readline())
        assert found[-1]
    return found[:-1]


@pytest.mark.parametrize("death", ["kill", "fork"])
def test_the_next_start_tells_once_of_a_killed_one(death, stage, tmp_path):
    killed = stage(death)
    assert lines(killed) == []
    assert killed.wait() == -9
    for told in (1, 0):
        process = stage("end")
        found = lines(process)
        assert len(found) == told
        assert all(line.startswith("the last train_classifier@bacl, begun at 2") for line in found)
        assert process.wait() == 0
    assert list((tmp_path / ".checkpoints").iterdir()) == []


def test_one_that_still_works_is_not_taken_for_dead(stage, tmp_path):
    living = stage("wait")
    assert lines(living) == []
    another = stage("end")
    assert lines(another) == []
    assert another.wait() == 0  # it removes its own note after its last line
    assert len(list((tmp_path / ".checkpoints").glob("*.running"))) == 1


@pytest.fixture
def counted(tmp_path, monkeypatch):
    """What the kernel says of itself."""
    monkeypatch.setattr(last_run, "BOOT", tmp_path / "boot")
    monkeypatch.setattr(last_run, "STATISTICS", tmp_path / "vmstat")

    def say(boot, killed):
        last_run.BOOT.write_text(boot)
        last_run.STATISTICS.write_text(f"pgfault 5\noom_kill {killed}\n")
        return last_run.machine()

    return say


def test_what_happened(counted):
    def told(before, now):
        note = {"began": "noon", **counted(*before)}
        return last_run.what_happened("predict@bce", note, counted(*now))

    assert "killed for want of memory: lower compute.workers" in told(("a", 3), ("a", 4))
    assert "not by the kernel for want of memory" in told(("a", 3), ("a", 3))
    assert "or its machine was lost; where memory is short" in told(("a", 3), ("b", 0))


def test_a_kernel_that_says_nothing(counted, tmp_path):
    counted("a", 0)
    last_run.STATISTICS.unlink()
    note = {"began": "noon", **last_run.machine()}
    assert "where memory is short" in last_run.what_happened("prepare", note, last_run.machine())


def test_a_note_that_was_cut_off_is_removed(tmp_path):
    (tmp_path / "check.12345678.running").write_text('{"began": ')
    assert last_run.notes_of_the_dead(tmp_path, "check") == []
    assert list(tmp_path.iterdir()) == []
