"""Which checkpoint a killed training goes on from, and what a signal does."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from pipeline.compute.checkpoints import checkpoint_files, newest_checkpoint
from pipeline.compute.signals import (
    AGAIN_SECONDS,
    PREEMPTED,
    Preempted,
    asked_to_stop,
    stop_on_signals,
)


def save(folder, *steps):
    for step in steps:
        torch.save({"weights": torch.arange(10_000), "step": step}, folder / f"step_{step}.pth")


def test_the_newest_sound_checkpoint_is_taken(tmp_path, capsys):
    save(tmp_path, 2, 9, 10)
    assert newest_checkpoint(tmp_path).name == "step_10.pth"
    whole = (tmp_path / "step_10.pth").read_bytes()
    zeros = whole[:1000] + bytes(20_000) + whole[21_000:]  # as a file system may leave a file
    for damage in (b"", b"not a checkpoint", whole[:300], zeros):
        (tmp_path / "step_10.pth").write_bytes(damage)
        assert newest_checkpoint(tmp_path).name == "step_9.pth"
        assert "step_10.pth is damaged" in capsys.readouterr().out


def test_no_checkpoint_is_none(tmp_path):
    assert newest_checkpoint(tmp_path) is None


def test_a_half_written_checkpoint_is_removed(tmp_path):
    save(tmp_path, 3)
    (tmp_path / ".step_4.pth.x8q1.pth").write_bytes(b"half")
    assert newest_checkpoint(tmp_path).name == "step_3.pth"
    assert [path.name for path in tmp_path.iterdir()] == ["step_3.pth"]


def test_the_newest_comes_first(tmp_path):
    save(tmp_path, 2, 100, 9)
    assert [path.stem for path in checkpoint_files(tmp_path)] == ["step_100", "step_9", "step_2"]


@pytest.fixture
def handlers():
    numbers = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in numbers}
    stop_on_signals()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    time.sleep(1.5 * AGAIN_SECONDS)  # until the first test's signals are not sent again


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1", "SIGUSR2"])
def test_a_signal_stops_a_stage_wherever_it_is(handlers, name):
    with pytest.raises(Preempted, match=name):
        os.kill(os.getpid(), signal.Signals[name])


INTERRUPTED = """
import os, signal, sys
from pipeline.compute.stage import run_stage

def stage():
    exec("import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(9)")

if __name__ == "__main__":
    run_stage(stage, "")
"""


def test_ctrl_c_in_an_import_ends_in_the_exit_code_too(tmp_path, root):
    (tmp_path / "interrupted.py").write_text(INTERRUPTED)
    done = subprocess.run(
        [sys.executable, "-m", "interrupted"], cwd=tmp_path, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(root)},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (
        PREEMPTED,
        "stopped; the same command goes on from what is saved\n",
    )


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1", "SIGUSR2", "SIGINT"])
def test_a_training_only_notes_it_and_hands_back_what_was_set_before(handlers, name):
    number = signal.Signals[name]
    before = signal.getsignal(number)
    with asked_to_stop() as signals:
        assert signals.asked is None
        os.kill(os.getpid(), number)
        assert signals.asked == number
        assert asked_to_stop.current is signals
    assert asked_to_stop.current is None
    assert signal.getsignal(number) is before


def test_a_second_ctrl_c_does_not_wait(handlers):
    with asked_to_stop():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_second_signal_does_not_disturb_the_way_out(handlers):
    unwound = []

    def stop():
        try:
            os.kill(os.getpid(), signal.SIGUSR1)
        finally:
            try:
                raise ValueError
            except ValueError:
                os.kill(os.getpid(), signal.SIGTERM)
            unwound.append(True)

    with pytest.raises(Preempted, match="SIGUSR1"):
        stop()
    assert unwound
