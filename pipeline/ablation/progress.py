"""One line a member: redrawn on a terminal, and printed anew on every change elsewhere."""

import shutil
import sys
import time

from pipeline.ablation.members import Run
from pipeline.compute.chain_progress import LINE, WHOLE_RUN, duration, left
from pipeline.percent import percent
from pipeline.runs import experiments


class Progress:
    """Called with all runs, again and again."""

    def __init__(self, workers: int, out=None):
        self.workers, self.out = workers, out or sys.stdout
        self.redraw = self.out.isatty()
        self.shown, self.aps, self.height, self.next = {}, {}, 0, 0.0
        self.places = {}

    def __call__(self, runs: list[Run]) -> None:
        self.places |= {run.name: place for run in runs if (place := said_place(run))}
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
        """A member's state and stage, once that has said something; its last lines change too
        often."""
        for run in runs:
            key = (run.state, run.stage)
            silent = run.state == "running" and run.stage and not run.last_line()
            if self.shown.get(run.name) != key and not silent:
                self.shown[run.name] = key
                line = self.line(run, with_last_line=False)
                print(f"{line}  [{self.summary(runs)}]", file=self.out, flush=True)

    def line(self, run: Run, with_last_line=True) -> str:
        what = run.state
        if run.state == "running":
            said = run.last_line() if with_last_line else ""
            words = [run.stage or "starting", self.place(run), "" if LINE.match(said) else said]
            what = " ".join(["running", *filter(None, words)])
        elif run.state == "failed":
            what = f"failed: {run.reason}"
        elif run.state == "done":
            what = f"done, AP {self.ap(run)}"
        return f"{run.member.label:24} {what}"

    def place(self, run) -> str:
        """ "(stage 3 of 14, about 25 min left)", as the stage has said, or its training since."""
        number, total, stage, rest = self.places.get(run.name, (0, 0, "", ""))
        if not stage or stage != run.stage:
            return ""
        if later := WHOLE_RUN.findall(LINE.split(run.tail)[-1]):
            rest = left(later[-1])
        return f"(stage {number} of {total}, {rest})"

    def ap(self, run):
        if run.name not in self.aps:
            self.aps[run.name] = ap(run)
        return self.aps[run.name]

    def summary(self, runs) -> str:
        states = [run.state for run in runs]
        counts = ", ".join(f"{states.count(s)} {s}" for s in ("done", "failed") if s in states)
        text = f"{counts or '0 done'} of {len(runs)}"
        seconds = [run.seconds for run in runs if run.seconds]
        if not seconds or not {"waiting", "running"} & set(states):
            return text
        mean, now = sum(seconds) / len(seconds), time.monotonic()
        work = mean * states.count("waiting")
        work += sum(max(0, mean - (now - run.began)) for run in runs if run.state == "running")
        return f"{text}, {left(duration(work / min(self.workers, len(runs))))}"


def ap(run) -> str:
    """ "-" where it cannot be read: the members go on without it."""
    try:
        reference = experiments.finished()[run.name]
        return percent(experiments.metrics(reference, run.member.method)["AP"])
    except (ValueError, KeyError, TypeError, OSError):
        return "-"


def said_place(run) -> tuple | None:
    """What the member's last stage has said of itself: number, total, stage, time left."""
    said = LINE.findall(run.tail)
    return said[-1] if said else None
