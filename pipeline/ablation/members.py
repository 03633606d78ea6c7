"""Run the members of a grid, N at a time.

Each member is one `dvc exp run --temp`: DVC's queue loses experiments where it has more than one
worker, and this does not (measured: 16 of 16, four at a time, with uncommitted changes). Three
things had to be designed around:

- While it starts, DVC stashes the user's uncommitted changes and writes the member's overrides to
  the user's params.yaml, for about a second. So members start one after the other (the next when
  the first stage of the one before runs), a stopped command lets a start end first
  (experiment.py), and a copy of params.yaml made before each start tells the next call when even
  that was cut off (SIGKILL of everything, power loss).
- DVC does not pass signals to its stages: experiment.py.
- Another dvc command may hold DVC's lock when a member starts: it is tried again.
"""

import contextlib
import os
import re
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

from pipeline.ablation.experiment import experiment_name, start_experiment
from pipeline.compute.signals import raise_preempted
from pipeline.runs import experiments
from pipeline.runs.grid import Member

FOLDER = Path(".ablations")
PARAMS = Path("params.yaml")
STAGE = re.compile("Running stage '([^']+)'")
TRAINING = re.compile(r"Epoch\(\w+\).*?eta: [\d:day, ]+\d")
LOCK_ERROR = re.compile("Unable to acquire lock|is busy, it is being blocked by")
LOCK_TRIES = 20
SECONDS = 1


@dataclass
class Run:
    """One member; ``state`` is waiting, running, done or failed."""

    member: Member
    name: str
    log: Path
    overrides: tuple[str, ...]
    state: str = "waiting"
    reason: str = ""
    process: Popen | None = None
    tries: int = 0
    began: float = 0.0
    seconds: float = 0.0  # 0 where it had been finished before
    stage: str = ""
    tail: str = ""
    read: int = 0

    def follow(self) -> None:
        """Read what is new in the log."""
        with self.log.open("rb") as file:
            file.seek(self.read)
            new = file.read()
        self.read += len(new)
        self.tail += new.decode(errors="replace")
        self.stage = next(iter(reversed(STAGE.findall(self.tail))), self.stage)
        self.tail = self.tail[-4000:]

    def last_line(self) -> str:
        """What the stage has said last; of a line of a training the epoch, the step and the ETA."""
        lines = [line.strip() for line in re.split(r"[\r\n]+", self.tail) if line.strip()]
        if not lines or lines[-1].startswith("> "):  # the stage's command
            return ""
        progress = TRAINING.search(lines[-1])
        return " ".join((progress.group() if progress else lines[-1]).split())

    def text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""


def runs(grid: str, members: list[Member], workers: int, gpus: int) -> list[Run]:
    """The members with their experiments' names; those that are finished are done."""
    known = experiments.finished()
    result = []
    for member in members:
        name = experiment_name(grid, member)
        log = FOLDER / grid / f"{experiments.plain(member.label)}.log"
        overrides = (*member.overrides, *one_gpu(member.params, workers, gpus))
        state = "done" if name in known else "waiting"
        result.append(Run(member, name, log, overrides, state))
    check_distinct(result)
    return result


def check_distinct(result):
    first = {}
    for run in result:
        if run.name.rpartition("-")[2] in first:
            other = first[run.name.rpartition("-")[2]]
            raise ValueError(f"members {other} and {run.member.label} are the same; remove one")
        first[run.name.rpartition("-")[2]] = run.member.label


def one_gpu(params, workers, gpus):
    """Members that run side by side get a GPU each, and not the first one all of them."""
    automatic = params.compute.gpus == "auto"
    return ("++compute.gpus=1",) if workers > 1 and gpus and automatic else ()


def run_all(all_runs: list[Run], workers: int, show) -> None:
    """Run what is waiting; ``show(all_runs)`` is called again and again. Nothing stays behind."""
    check_interrupted_start()
    before = PARAMS.read_bytes()
    signal.signal(signal.SIGTERM, raise_preempted)
    signal.signal(signal.SIGHUP, raise_preempted)
    try:
        while any(run.state in ("waiting", "running") for run in all_runs):
            for run in all_runs:
                if run.state == "running":
                    run.follow()
                    if run.process.poll() is not None:
                        end(run)
            start_next(all_runs, workers, before)
            show(all_runs)
            time.sleep(SECONDS)
    finally:
        stop(all_runs)


def start_next(all_runs, workers, before):
    running = [run for run in all_runs if run.state == "running"]
    if not all(run.stage for run in running):  # one is starting
        return
    forget_start()
    waiting = [run for run in all_runs if run.state == "waiting" and run.began <= time.monotonic()]
    if waiting and len(running) < workers:
        start(waiting[0], before)


def start(run, before):
    if PARAMS.read_bytes() != before:
        run.state, run.reason = "failed", "params.yaml was changed meanwhile; call again"
        return
    remember_start(before)
    run.stage, run.tail, run.read = "", "", 0
    run.process = start_experiment(run.name, run.overrides, run.log)
    run.state, run.began, run.tries = "running", time.monotonic(), run.tries + 1


def end(run):
    if run.name in experiments.finished():
        run.state, run.seconds = "done", time.monotonic() - run.began
    elif LOCK_ERROR.search(run.text()) and run.tries < LOCK_TRIES:
        run.state, run.began = "waiting", time.monotonic() + 10
    else:
        run.state, run.reason = "failed", f"{error(run)} (see {run.log})"


def stop(all_runs):
    """Stop what is running, and wait for it: a training saves first, and DVC cleans up."""
    running = [run for run in all_runs if run.process and run.process.poll() is None]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if running:
        print(f"stopping {len(running)} running members; they save first", flush=True)
    for run in running:
        run.process.terminate()
    for run in running:
        run.process.wait()
    forget_start()


def interrupted() -> Path:
    return FOLDER / "params.yaml.before"


def remember_start(before: bytes):
    interrupted().parent.mkdir(exist_ok=True)
    part = interrupted().with_suffix(f".{os.getpid()}")
    part.write_bytes(before)
    part.replace(interrupted())


def forget_start():
    interrupted().unlink(missing_ok=True)


def check_interrupted_start():
    """Where a start was cut off, params.yaml may hold a member's overrides, unseen."""
    with contextlib.suppress(FileNotFoundError):
        if interrupted().read_bytes() != PARAMS.read_bytes():
            raise ValueError(
                f"the start of a member was cut off, and params.yaml is not as before: compare it "
                f"with {interrupted()} (and `git stash list`), then remove that file"
            )


def error(run) -> str:
    """The line in which a stage says what is wrong, or DVC's."""
    lines = run.text().splitlines()
    return next((line for line in lines if line.startswith(("error:", "ERROR:"))), "error")
