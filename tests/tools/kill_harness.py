"""Kill the smoke pipeline at random moments, and see that nothing but time is lost.

python tests/tools/kill_harness.py --kills 20 --seed 1

Runs the preset `smoke` once undisturbed. In a second copy `dvc repro` is then killed again and
again: a random signal, at a random moment of a random stage, to dvc, to the stage, to a
data-loading worker or to the whole process group. After each kill nothing may be left running or
locked; a training that had saved must go on from there; a signal to a stage must end in exit code
85. A pipeline that has reached its end must equal the undisturbed one: metrics, weights and
predictions bit for bit, the same files, the same MLflow runs; then the next copy starts. Exit code
1, and the folder is kept, where anything is wrong.
"""

import argparse
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from kill_checks import (
    REMEDY,
    broken_by_dvc,
    checkpoints,
    differences,
    leftovers,
    sound_dvc,
    stuck_locks,
    wrong_resumes,
    wrong_tracking,
)
from kill_processes import Repro, deliver, left_after, processes_of

ROOT = Path(__file__).resolve().parents[2]
SIGNALS = ("SIGTERM", "SIGKILL", "SIGUSR1", "SIGINT")
TARGETS = ("dvc", "stage", "group", "worker")
PREEMPTED = 85
STOP_SECONDS = 90  # for a stage that was told to stop; a busy machine is slow
CALM_SECONDS = 4  # for a signal that need not stop anything
BETWEEN_SECONDS = 1.0  # of DVC's own work after a stage
FINISHED = re.compile(r"exited with (-?\d+)")


@dataclass
class Kill:
    """What was done, and what came of it."""

    number: int
    seed: int
    pipeline: int
    stage: str
    signal: str
    target: str
    delay: float  # seconds since the stage had begun
    outcome: str = ""
    code: int | None = None  # the stage's, where dvc lived to say it
    seconds: float = 0.0  # until no process was left
    resumes: dict = field(default_factory=dict)  # method: the checkpoint that comes next
    problems: list = field(default_factory=list)

    def line(self):
        saved = " ".join(f"{name}:{file}" for name, file in self.resumes.items())
        text = f"{self.number:3} {self.stage:28} {self.signal:8} to {self.target:14}"
        text += f" after {self.delay:5.1f} s: {self.outcome}, gone in {self.seconds:.1f} s"
        text += f", goes on from {saved}" if saved else ""
        return text + "".join(f"\n    WRONG: {problem}" for problem in self.problems)


class Campaign:
    """Counts the kills, and has what the pipelines share: the reference, the random numbers."""

    def __init__(self, folder, seed, kills, changes=()):
        """``changes``: (old, new) texts in the preset, such as fewer images."""
        self.folder, self.seed, self.wanted = folder, seed, kills
        self.changes = (("gpus: auto", "gpus: 0"), *changes)
        self.scratch = folder / "tmp"
        self.scratch.mkdir(parents=True)
        self.random = random.Random(seed)
        self.kills, self.problems, self.mended = [], [], []
        self.pipelines = 0

    def run(self):
        self.reference = self.undisturbed()
        while self.more():
            self.pipelines += 1
            project = self.copy(f"p{self.pipelines}")
            problems = Pipeline(self, project).run()
            say(f"pipeline {self.pipelines} ended: {problems or 'equals the undisturbed one'}")
            self.problems += problems
            if not problems:
                shutil.rmtree(project)

    def more(self):
        return len(self.kills) < self.wanted

    def failed(self):
        return self.problems + [problem for kill in self.kills for problem in kill.problems]

    def copy(self, name):
        project = self.folder / name
        command = [sys.executable, "-m", "pipeline.presets", "copy", "smoke", str(project)]
        subprocess.run(command, cwd=ROOT, check=True)
        params = project / "params.yaml"
        text = params.read_text(encoding="utf-8")
        for old, new in self.changes:
            assert old in text
            text = text.replace(old, new)
        params.write_text(text, encoding="utf-8")
        return project

    def undisturbed(self):
        project = self.copy("reference")
        repro = Repro(project, self.scratch)
        repro.dvc.wait()
        repro.reader.join()
        if repro.dvc.returncode:
            sys.exit(f"the undisturbed run failed:\n{repro.text()}")
        names, begins = zip(*repro.stages(), strict=True)
        ends = [*begins[1:], time.monotonic() - repro.started]
        self.order = names
        self.durations = {n: e - b for n, b, e in zip(names, begins, ends, strict=True)}
        say(f"undisturbed run: {ends[-1]:.0f} s, {len(names)} stages")
        return project


class Pipeline:
    """One copy of the project, on its way to the end."""

    def __init__(self, campaign, project):
        self.campaign, self.project = campaign, project
        self.random = campaign.random
        self.reached = 0  # in the order of the stages
        self.repro = None
        self.expected = {}
        self.disturbed = False  # by a signal that need not have stopped it at once

    def run(self):
        """Kill until there is nothing left to kill; returns what is wrong at the end."""
        while self.campaign.more():
            self.start()
            if self.wait_for_moment():
                self.kill()
                if self.reached == len(self.campaign.order) - 1:
                    break
            elif self.repro.dvc.returncode == 0 or not self.disturbed:
                break
        return self.end()

    def start(self):
        if self.repro and self.repro.alive():
            return  # the last signal did not stop it
        self.close()
        self.expected = checkpoints(self.project)
        self.disturbed = False
        self.repro = Repro(self.project, self.campaign.scratch)

    def close(self, kill=None):
        """Look at how the run that has ended, by this kill or by itself, had started."""
        if self.repro is None:
            return
        self.repro.reader.join(STOP_SECONDS)
        wrong = wrong_resumes(self.repro.text(), self.expected)
        if kill:
            kill.problems += wrong
        else:
            self.campaign.problems += wrong
        name = f"{self.project.name}.log"
        with open(self.campaign.folder / name, "a", encoding="utf-8") as log:
            log.write(f"{'=' * 20}\n{self.repro.text()}")
        self.repro = None

    def wait_for_moment(self):
        """Until a random moment of a random one of the next stages; False: dvc ended before."""
        order, durations = self.campaign.order, self.campaign.durations
        ahead = 0
        while self.random.random() < 0.4:
            ahead += 1
        wanted = min(self.reached + ahead, len(order) - 1)
        part = self.random.random()
        while self.repro.alive():
            begun = [order.index(stage) for stage, _ in self.repro.stages()]
            if begun and begun[-1] >= wanted:
                self.reached = begun[-1]
                delay = part * (durations[order[self.reached]] + BETWEEN_SECONDS)
                return not self.repro.wait(delay)
            time.sleep(0.1)
        return False

    def kill(self):
        stage, began = self.repro.stages()[-1]
        self.reached = self.campaign.order.index(stage)
        number, target = self.random.choice(SIGNALS), self.random.choice(TARGETS)
        delay = time.monotonic() - self.repro.started - began
        target, process, handled = deliver(self.repro, target, signal.Signals[number])
        kill = Kill(
            len(self.campaign.kills) + 1, self.campaign.seed, self.campaign.pipelines,
            stage if process else f"dvc after {stage}", number, target, round(delay, 1),
        )  # fmt: skip
        self.see_what_comes(kill, process, handled)
        self.campaign.kills.append(kill)
        say(kill.line())

    def see_what_comes(self, kill, process, handled):
        surely = kill.target in ("dvc", "stage", "group") and process is not None
        surely = surely and (kill.target, kill.signal) != ("dvc", "SIGINT")  # dvc ignores it
        surely = surely or kill.signal == "SIGKILL"
        if surely and not self.repro.wait(CALM_SECONDS):
            self.wait_for_end_of(process)
        if not self.repro.wait(CALM_SECONDS):
            kill.outcome = "went on"
            self.disturbed = True
            if re.search(r"^\S*Preempted: ", self.repro.text(), re.MULTILINE) and handled:
                kill.problems.append("the signal was lost in a callback")
            if surely and process is not None and process.is_running():
                kill.problems.append(f"the stage did not stop within {STOP_SECONDS} s")
                os.killpg(self.repro.dvc.pid, signal.SIGKILL)
                self.repro.dvc.wait()
            return
        self.look_around(kill, handled)

    def wait_for_end_of(self, process):
        deadline = time.monotonic() + STOP_SECONDS
        while self.repro.alive() and time.monotonic() < deadline:
            if process is None or not process.is_running():
                return
            time.sleep(0.2)

    def look_around(self, kill, handled):
        """After dvc's end: its exit code, processes, locks, checkpoints."""
        kill.outcome = f"dvc {self.repro.dvc.returncode}"
        left, kill.seconds = left_after(self.project, STOP_SECONDS)
        kill.problems += [f"still running: {process}" for process in left]
        self.repro.reader.join(CALM_SECONDS)
        codes = FINISHED.findall(self.repro.text())
        if codes:
            kill.code = int(codes[-1])
            kill.outcome += f", stage {kill.code}"
        stopped = kill.target == "stage" and kill.signal != "SIGKILL" and handled
        if stopped and codes and kill.code != PREEMPTED:
            kill.problems.append(f"exit code {kill.code}, not {PREEMPTED}")
        kill.problems += stuck_locks(self.project)
        kill.resumes = checkpoints(self.project)
        self.check_saved(kill)
        self.close(kill)
        self.mend(kill)

    def check_saved(self, kill):
        """What a stopped training said that it saved is what is there."""
        saved = re.findall(r"^saved step (\d+) of", self.repro.text(), re.MULTILINE)
        method = kill.stage.rpartition("@")[2]
        if saved and method in kill.resumes and kill.resumes[method] != f"step_{saved[-1]}.pth":
            kill.problems.append(f"step {saved[-1]} was saved, {kill.resumes[method]} is there")

    def mend(self, kill):
        """Do what README says where dvc was killed while it wrote a file of its own."""
        broken = broken_by_dvc(self.project)
        if broken:
            self.campaign.mended.append(kill.number)
            kill.outcome += f", DVC left a broken {' and '.join(broken)}: {REMEDY}"
            subprocess.run(REMEDY, shell=True, cwd=self.project, check=True)

    def end(self):
        """A last undisturbed repro, and everything that must hold then."""
        if self.repro and not self.repro.wait(3600):
            return ["dvc repro did not end"]
        if self.repro is None or (self.repro.dvc.returncode and self.disturbed):
            self.start()
            self.repro.dvc.wait()
        code = self.repro.dvc.returncode
        self.close()
        if code:
            return [f"{self.project.name}: an undisturbed dvc repro failed, see its log"]
        return self.check_results()

    def check_results(self):
        reference, project = self.campaign.reference, self.project
        wrong = sound_dvc(project, self.campaign.scratch)
        left, _ = left_after(project, STOP_SECONDS)
        wrong += [f"still running: {process}" for process in left]
        wrong += stuck_locks(project) + differences(reference, project)
        wrong += leftovers(reference, project) + wrong_tracking(reference, project)
        return [f"{project.name}: {problem}" for problem in wrong]


def say(text):
    print(text, flush=True)


def table(kills):
    """Kills by stage and signal, in Markdown."""
    counts = Counter((kill.stage, kill.signal) for kill in kills)
    lines = [f"| stage | {' | '.join(SIGNALS)} | all |", "|---" * (len(SIGNALS) + 2) + "|"]
    for stage in sorted({kill.stage for kill in kills}):
        row = [counts[stage, name] for name in SIGNALS]
        lines.append(f"| {stage} | {' | '.join(map(str, row))} | {sum(row)} |")
    row = [sum(kill.signal == name for kill in kills) for name in SIGNALS]
    return "\n".join([*lines, f"| all | {' | '.join(map(str, row))} | {sum(row)} |"])


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20, help="how many (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="of all random choices (default: 0)")
    parser.add_argument(
        "--processes",
        type=int,
        default=1,
        help="that share each training (default: 1)",
    )
    parser.add_argument("--folder", type=Path, help="where to work; a new one (default: in /tmp)")
    parser.add_argument("--out", type=Path, help="write all kills to this JSON file")
    return parser.parse_args()


def main():
    arguments = parse()
    # a shell starts what runs in its background deaf to SIGINT, and children inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="kills-"))
    ranks = ("workers: 1", f"workers: 1, processes: {arguments.processes}")
    changes = [ranks] if arguments.processes > 1 else []
    campaign = Campaign(folder.resolve(), arguments.seed, arguments.kills, changes)
    try:
        campaign.run()
    finally:
        for process in processes_of(campaign.folder):
            process.kill()
    failed = campaign.failed()
    say(f"\n{table(campaign.kills)}\n\ntargets: {dict(Counter(k.target for k in campaign.kills))}")
    say(f"{len(campaign.kills)} kills, {campaign.pipelines} pipelines, {len(failed)} wrong")
    say(f"DVC's own files were mended after kills {campaign.mended}")
    if arguments.out:
        found = {"kills": [asdict(kill) for kill in campaign.kills], "wrong": failed}
        arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    if failed:
        sys.exit("\n".join([f"{folder} is kept:", *failed]))
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
