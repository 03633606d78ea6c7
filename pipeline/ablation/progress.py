"""One line a member: redrawn on a terminal, and printed anew on every change elsewhere."""

import shutil
import sys
import time

from pipeline.ablation import experiments
from pipeline.ablation.run import Run


class Progress:
    """Called with all runs, again and again."""

    def __init__(self, workers: int, out=None):
        self.workers, self.out = workers, out or sys.stdout
        self.redraw = self.out.isatty()
        self.shown, self.aps, self.height, self.next = {}, {}, 0, 0.0

    def __call__(self, runs: list[Run]) -> None:
        if self.redraw:
            over = not any(run.state in ("waiting", "running") for run in runs)
            if over or time.monotonic() >= self.next:
                self.draw(runs)
                self.next = time.monotonic() + 2
        else:
            self.print_changes(runs)

    def draw(self, runs):
        """What does not fit on the terminal is left out: first what does not move."""
        columns, rows = shutil.get_terminal_size()
        moving = [run for run in runs if run.state == "running"]
        shown = runs if len(runs) < rows - 1 else moving[: rows - 2]
        lines = [self.line(run) for run in shown] + [self.summary(runs)]
        up = f"\x1b[{self.height}F" if self.height else ""
        text = "\n".join(f"{line[: columns - 1]}" for line in lines)
        print(f"{up}\x1b[J{text}", file=self.out, flush=True)
        self.height = len(lines)

    def print_changes(self, runs):
        """A member's state and stage; the last lines of its log change too often."""
        for run in runs:
            key = (run.state, run.stage)
            if self.shown.get(run.name) != key:
                self.shown[run.name] = key
                line = self.line(run, with_last_line=False)
                print(f"{line}  [{self.summary(runs)}]", file=self.out, flush=True)

    def line(self, run: Run, with_last_line=True) -> str:
        what = run.state
        if run.state == "running":
            said = run.last_line() if with_last_line else ""
            what = f"running {run.stage or 'starting'} {said}".rstrip()
        elif run.state == "failed":
            what = f"failed: {run.reason}"
        elif run.state == "done":
            what = f"done, AP {self.ap(run)}"
        return f"{run.member.label:24} {what}"

    def ap(self, run):
        if run.name not in self.aps:
            self.aps[run.name] = ap(run)
        return percent(self.aps[run.name])

    def summary(self, runs) -> str:
        states = [run.state for run in runs]
        counts = ", ".join(f"{states.count(s)} {s}" for s in ("done", "failed") if s in states)
        text = f"{counts or '0 done'} of {len(runs)}"
        seconds = [run.seconds for run in runs if run.seconds]
        if not seconds or not {"waiting", "running"} & set(states):
            return text
        mean, now = sum(seconds) / len(seconds), time.monotonic()
        left = mean * states.count("waiting")
        left += sum(max(0, mean - (now - run.began)) for run in runs if run.state == "running")
        minutes = round(left / min(self.workers, len(runs)) / 60)
        return f"{text}, about {minutes // 60}:{minutes % 60:02} h left"


def ap(run):
    """None also where it cannot be read: the members go on without it."""
    try:
        reference = experiments.finished()[run.name]
        return experiments.metrics(reference, run.member.method)["AP"]
    except (ValueError, KeyError, TypeError, OSError):
        return None


def percent(value) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
