"""What SLURM says about a job (without accounting, which many clusters lack) and what it prints."""

import codecs
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ENDED = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "LAUNCH_FAILED", "NODE_FAIL",
         "OUT_OF_MEMORY", "PREEMPTED", "TIMEOUT"}  # fmt: skip
UNKNOWN = "UNKNOWN"  # SLURM forgets a job some minutes after its end
ANSWER_SECONDS = 60
LONGEST_PAUSE = 10
NO_ANSWER = re.compile(r"unable to contact|timed out|connection refused|connect failure", re.I)


def command(*words):
    """Run one of SLURM's commands; out of reach of the terminal's Ctrl-C."""
    try:
        return subprocess.run(
            words, capture_output=True, text=True, timeout=ANSWER_SECONDS, start_new_session=True
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(words, 1, "", f"{words[0]} timed out")


def unreachable(answer) -> bool:
    """Whether the cluster's controller does not answer, so that it has to be asked again."""
    text = answer if isinstance(answer, str) else answer.stderr
    return bool(NO_ANSWER.search(text))


@dataclass(frozen=True)
class State:
    name: str
    reason: str = ""
    nodes: str = ""
    restarts: str = "0"
    exit_code: int = 0
    text: str = ""


@dataclass(frozen=True)
class End:
    job: str
    state: State
    log: Path


def ask(job) -> State:
    """The job's state; waits, with a message, for a controller that does not answer."""
    silent = False
    while True:
        answer = command("scontrol", "show", "job", "--oneliner", job)
        if answer.returncode == 0:
            return parse(answer.stdout)
        if "Invalid job id" in answer.stderr:
            return State(UNKNOWN)
        if not silent:
            print(f"SLURM does not answer, asking again: {answer.stderr.strip()}", flush=True)
        silent = True
        time.sleep(LONGEST_PAUSE)


def parse(text) -> State:
    def value(key):
        found = re.search(rf"(?<!\S){key}=(\S+)", text)
        return found[1] if found else ""

    code, _, by_signal = value("ExitCode").partition(":")
    return State(
        value("JobState"), value("Reason"), value("NodeList"), value("Restarts"),
        int(code or 0) or (128 + int(by_signal or 0)) * bool(int(by_signal or 0)), text,
    )  # fmt: skip


def submitted_before(folder):
    """The last job that was submitted from this folder, where it still waits or runs."""
    jobs = [int(file.name.split("_")[0]) for file in folder.glob("[0-9]*_submission.sh")]
    if not jobs:
        return None
    job = str(max(jobs))
    state = ask(job)
    here = f"StdOut={log_of(job, folder)}" in state.text  # numbers start anew with a new cluster
    return job if here and state.name not in ENDED else None


def is_of(folder, job) -> bool:
    """Whether the job was submitted from this folder, so that it finds what it needs there."""
    return f" WorkDir={folder} " in ask(job).text


def log_of(job, folder) -> Path:
    return folder / f"{job}_0_log.out"


class Watch:
    """Follows one job: a line when its state changes, and everything that rank 0 prints."""

    def __init__(self, job, folder):
        self.job = job
        self.folder = folder
        self.log = log_of(job, folder)
        self.position = 0
        self.decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self.told = None

    def state_is(self, name) -> bool:
        return ask(self.job).name == name

    def until_end(self, seconds=float("inf")):
        """The job's end, or None after ``seconds``."""
        limit, pause = time.monotonic() + seconds, 1.0
        while True:
            state = ask(self.job)
            news = self.tell(state)
            self.copy_log()
            if state.name in ENDED or state.name == UNKNOWN:
                return End(self.job, state, self.log)
            if time.monotonic() > limit:
                return None
            pause = 1.0 if news else min(1.2 * pause, LONGEST_PAUSE)
            self.sleep(pause)

    def sleep(self, seconds):
        for _ in range(int(seconds)):
            time.sleep(1)
            self.copy_log()

    def tell(self, state) -> bool:
        """Say what has changed; whether anything has."""
        news = {
            "PENDING": f"waits: {state.reason}" if state.reason != "None" else None,
            "RUNNING": f"runs on {state.nodes}",
            "SUSPENDED": "is suspended",
        }.get(state.name)
        if not news or (news, state.restarts) == self.told:
            return False
        if self.told and self.told[1] != state.restarts:
            print(f"job {self.job} was requeued by SLURM", flush=True)
        self.told = (news, state.restarts)
        print(f"job {self.job} {news}", flush=True)
        return True

    def copy_log(self):
        """Print what is new in the log."""
        if not self.log.is_file():
            return
        with open(self.log, "rb") as log:  # opened anew, so that a file server shows what is new
            log.seek(self.position)
            new = log.read()
        self.position += len(new)
        sys.stdout.write(self.decoder.decode(new))
        sys.stdout.flush()
