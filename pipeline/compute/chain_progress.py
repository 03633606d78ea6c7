"""Where in the chain a stage stands that DVC runs, and how long the rest takes.

A stage says at its start

    [3 of 14] train_representation@bce; about 25 min left

The first stage of a DVC command asks DVC which ones it will run, and notes them in .dvc/tmp/ of the
folder it runs in; the others read that. A stage that DVC need not run after all makes the total
smaller when the next one starts. Times are those of former runs on this machine; where nothing is
known, no number is shown.
"""

import contextlib
import hashlib
import json
import os
import re
import time
from dataclasses import asdict
from pathlib import Path

from pipeline.compute.durations import Durations, kind
from pipeline.files import read_json, write_json

SHORT = "less than a minute"
NOTES = Path(".dvc", "tmp", "running_chain.json")
TRAININGS = ("train_representation", "train_classifier")
AFTERWARDS = "SECONDS_AFTER_THIS_STAGE"  # for the processes of a training
LINE = re.compile(r"^\[(\d+) of (\d+)\] (\S+); (.+)$", re.MULTILINE)
WHOLE_RUN = re.compile(r"\(whole run: ([^)]+)\)")
ETA = re.compile(r"\beta: (?:\d+ days?, )?\d+:\d+:\d+")


@contextlib.contextmanager
def shown():
    """Around the work of a stage; of one that DVC has not started it shows nothing.

    It is a display: whatever fails in it, the stage runs.
    """
    began, chain = time.monotonic(), None
    if "DVC_STAGE" in os.environ:
        with contextlib.suppress(Exception):
            chain = enter(os.environ["DVC_STAGE"])
    yield
    if chain:
        with contextlib.suppress(Exception):
            durations_of(chain).note(chain["ran"][-1], lasted(chain["ran"][-1], began))


def enter(stage: str) -> dict | None:
    """Say where ``stage`` stands; returns the chain, None where DVC's command is not known."""
    from pipeline.compute.plan import dvc_process, words_of

    process = dvc_process()
    if process is None:
        return None
    identity = [process.pid, process.create_time()]
    chain = noted()
    if chain.get("process") != identity:
        chain = new_chain(words_of(process), stage) | {"process": identity}
    go_on(chain, stage)
    write_json(NOTES, chain)
    print(line(chain), flush=True)
    return chain


def noted() -> dict:
    try:
        return read_json(NOTES)
    except ValueError:  # there is none yet
        return {}


def new_chain(words, running) -> dict:
    """``to_come``: stages that will run, in DVC's order; ``ran``: those that have started."""
    from pipeline.compute.plan import planned
    from pipeline.params import load

    params = load()
    work = [asdict(part) for part in (params.data, params.detector, params.predict, params.compute)]
    work += [params.train.batch_size, params.train.precision]
    sizes = {
        f"{method.stage}@{name}": method.epochs
        for name, method in params.methods().items()
        if method.stage in TRAININGS
    }
    digest = hashlib.sha256(json.dumps(work, default=str).encode()).hexdigest()[:16]
    return {"work": digest, "sizes": sizes, "ran": [], "to_come": planned(words, running)}


def go_on(chain, stage) -> None:
    """What stood before this stage and has not run was not needed."""
    if stage in chain["to_come"]:
        chain["to_come"] = chain["to_come"][chain["to_come"].index(stage) + 1 :]
    chain["ran"].append(stage)


def line(chain) -> str:
    """Leaves in the environment how long the stages after this one take, where all are known."""
    durations, stage = durations_of(chain), chain["ran"][-1]
    times = [durations.expected(name) for name in (stage, *chain["to_come"])]
    os.environ.pop(AFTERWARDS, None)
    if None not in times[1:]:
        os.environ[AFTERWARDS] = str(sum(times[1:]))
    number = len(chain["ran"])
    return f"[{number} of {number + len(chain['to_come'])}] {stage}; {time_left(times)}"


def time_left(times: list[float | None]) -> str:
    """Of stages of which some are not known (None)."""
    known = [seconds for seconds in times if seconds is not None]
    if len(known) == len(times):
        return left(duration(sum(known)))
    enough = known and duration(sum(known)) != SHORT
    return left(duration(sum(known)), "more than") if enough else "no estimate yet"


def left(time: str, about="about") -> str:
    """Of what ``duration`` gives."""
    return f"{time} left" if time == SHORT else f"{about} {time} left"


def duration(seconds: float) -> str:
    """``SHORT``, "25 min" or "3 h 05 min"."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return SHORT
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"


def with_whole_run(text: str, eta: float) -> str:
    """A training's line, whose ETA of ``eta`` seconds is of the stage, with that of the run."""
    if AFTERWARDS not in os.environ:
        return text
    whole = duration(eta + float(os.environ[AFTERWARDS]))
    return ETA.sub(rf"\g<0> (whole run: {whole})", text, count=1)


def durations_of(chain) -> Durations:
    """In the project, also from DVC's temporary copies of it."""
    return Durations(Path(os.environ.get("DVC_ROOT", ".")), chain["work"], chain["sizes"])


def lasted(stage, began) -> float:
    """In seconds; of a training that was resumed, or had been finished before, what it took."""
    seconds = time.monotonic() - began
    if kind(stage) in TRAININGS:
        name = stage.partition("@")[2]
        seconds = max(seconds, read_json(Path("models", name, "environment.json"))["seconds"])
    return round(seconds, 1)
