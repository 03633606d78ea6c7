"""What the mirror knows before MLflow is asked: a folder of files, and a record for each run."""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Project:
    """A folder of the pipeline; ``running`` maps a method in training to its scalars file."""

    root: Path
    params: Any
    splits: dict
    stale: set = field(default_factory=set)
    running: dict = field(default_factory=dict)
    problems: list = field(default_factory=list)
    locked: dict = field(default_factory=dict)  # stage -> its outputs' hashes
    identity: str = ""  # of the checkout
    inputs: dict = field(default_factory=dict)  # stage instance -> its entry (runs/identity.py)

    def is_current(self, stage, path):
        return stage not in self.stale and path.is_file()

    def methods(self):
        return list(self.params.methods())


@dataclass(frozen=True)
class Target:
    """Where the mirror goes.

    ``artifacts``: where files shall lie, a URI; None: where the server keeps its own.
    ``only_there``: an experiment that names another folder was copied from another project.
    ``repository``: whose experiments and models may be changed (pipeline/tracking/ownership.py).
    """

    uri: str
    experiment: str
    artifacts: str | None
    only_there: bool
    repository: str
    model_prefix: str
    columns: list


@dataclass
class Record:
    """One run. Times are in ms since 1970; ``points`` are (key, value, step, ms since the
    training's start).

    ``identity`` names the training the points came from: points of two trainings never mix.
    """

    name: str
    tags: dict = field(default_factory=dict)
    params: dict = field(default_factory=dict)
    metrics: dict = field(default_factory=dict)
    points: list = field(default_factory=list)
    artifacts: list = field(default_factory=list)
    identity: str = ""
    started: int | None = None
    ended: int | None = None
    finished: bool = True

    @property
    def lasted(self):
        """In ms; 0 where nothing notes it."""
        return self.ended - self.started if self.started and self.ended else 0


def existing(folder, *patterns):
    """(file, None) of each file in ``folder`` that a pattern names."""
    found = [path for pattern in patterns for path in sorted(folder.glob(pattern))]
    return [(path, None) for path in found if path.is_file()]


def numbers(values):
    """The finite numbers of a mapping, under names that MLflow accepts."""
    return {
        clean(key): float(value)
        for key, value in values.items()
        if is_number(value) and math.isfinite(value)
    }


def is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool)


def clean(name):
    """MLflow refuses other characters in the name of a metric: AR@300 becomes AR300."""
    return re.sub(r"[^\w./ -]", "", name)


class noting:
    """Note the damage of a file, or of one of a folder, in ``project.problems`` and go on after the
    block."""

    def __init__(self, project, path):
        self.project, self.path = project, path

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        damage = isinstance(error, OSError | ValueError | KeyError | TypeError | AttributeError)
        if damage:
            reason = f"it has no {error}" if kind is KeyError else str(error) or kind.__name__
            named = str(self.path) in reason
            self.project.problems.append(reason if named else f"{self.path}: {reason}")
        return damage
