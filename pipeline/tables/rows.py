"""Runs -> rows: one a method and the parameters that affect it, over all its seeds."""

import json
import sys
from dataclasses import dataclass, field

import numpy as np

from pipeline.params.methods import PARTS, Trained
from pipeline.params.plain import flatten
from pipeline.percent import percent
from pipeline.runs.dvc_lock import made_from, settings_of
from pipeline.runs.finished import Finished, Result
from pipeline.tables.intervals import Interval, Summary, paired_interval, summary

SHARED = ("detector", "train", "predict")  # sections that affect every method
SWITCHES = {"true": "on", "false": "off"}
NONE = "none"
SAME = 1e-6  # metrics that differ by less come from the same run


@dataclass(frozen=True)
class Name:
    """What a grid calls a run: the row, the method it is about, the place in the grid."""

    row: str
    method: str
    order: int


@dataclass
class Row:
    """``settings``: the params that affect the method but for seed and data, short key -> text.

    ``runs``: seed -> (run, its result of the method); the seed is None where none was drawn.
    """

    method: str
    settings: dict[str, str]
    runs: dict[int | None, tuple[Finished, Result]] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    order: float = float("inf")
    title: str = ""

    @property
    def label(self) -> str:
        return " / ".join(dict.fromkeys(self.names)) or self.method

    def has(self, metric) -> bool:
        """Whether it was measured, be it undefined; a method without masks has no mask AP."""
        return any(metric in result.metrics for _, result in self.runs.values())

    def values(self, metric) -> list[float | None]:
        return [result.metrics.get(metric) for _, result in self.runs.values()]

    def replicates(self, metric) -> list[np.ndarray]:
        """One array [R] a seed; [] where a seed has none."""
        found = [result.replicates.get(metric) for _, result in self.runs.values()]
        return [] if any(array is None for array in found) else found

    def summary(self, metric) -> Summary:
        return summary(self.values(metric))

    def difference(self, base: "Row", metric) -> tuple[float | None, Interval | None]:
        """Of the means, with the paired interval."""
        own, other = self.summary(metric).mean, base.summary(metric).mean
        if own is None or other is None:
            return None, None
        replicates = self.replicates(metric), base.replicates(metric)
        return own - other, paired_interval(own - other, *replicates)


def settings(run: Finished, method) -> dict[str, str]:
    """The params that affect the method: its own block's keys as they are, those of what it starts
    from under ``representation.``, and the shared sections; defaults written out, as they were when
    it was made."""
    own, *others = run.params.ancestry(method)
    made = made_with(run, own)
    values = flat(made["method"])
    for other in others:
        prefix = "classifier." if run.params.method(other).start else "representation."
        values |= flat(made_with(run, other)["method"], prefix)
    first = made_with(run, [own, *others][-1])
    predicted = settings_of(run.locked, run.params, "predict", method)
    shared = {**predicted, **first, "detector": predicted["detector"] | first["detector"]}
    for section in SHARED:
        values |= flatten(shared.get(section, {}), f"{section}.")
    return values


def flat(method, prefix="") -> dict[str, str]:
    """A part that the method does without is of the type "none"."""
    without = {key: {"type": NONE} for key in PARTS if key in method and method[key] is None}
    return flatten(method | without, prefix)


def made_with(run, name) -> dict:
    return settings_of(run.locked, run.params, run.params.method(name).stage, name)


def seed_of(params, method) -> int | None:
    """None where nothing is trained, as of an imported model: it is the same under every seed."""
    methods = [params.method(name) for name in params.ancestry(method)]
    return params.seed if any(isinstance(method, Trained) for method in methods) else None


def make_rows(pairs, names: dict[str, Name]) -> list[Row]:
    """Methods in the order of report.methods; within one the grid's order, then as they come.

    ``names`` are by the run's name. The first of two runs of the same settings and seed counts.
    """
    rows, warned = {}, set()
    for run, method in pairs:
        values = settings(run, method)
        row = rows.setdefault((method, json.dumps(values, sort_keys=True)), Row(method, values))
        add(row, seed_of(run.params, method), run, warned)
        name = names.get(run.name)
        if name and name.method == method:
            row.names.append(name.row)
            row.order = min(row.order, name.order)
    for row in rows.values():
        row.runs = dict(sorted(row.runs.items(), key=lambda item: item[0] or 0))
    order = list(dict.fromkeys(m for run, _ in pairs for m in run.params.report.methods))
    rows = sorted(rows.values(), key=lambda row: (order.index(row.method), row.order))
    name_rows(rows)
    warn_of_other_code(rows)
    return rows


def add(row, seed, run, warned):
    result = run.results[row.method]
    if seed not in row.runs:
        row.runs[seed] = run, result
        return
    counted, first = row.runs[seed]
    if gap := disagreement(first.metrics, result.metrics):
        if (counted.name, run.name) not in warned:
            warned.add((counted.name, run.name))
            print(
                f"warning: {counted.name} and {run.name} have the same settings and seed but not "
                f"the same numbers ({row.method}: {gap}); {counted.name} counts",
                file=sys.stderr,
            )
    elif not first.replicates:
        row.runs[seed] = run, result


def warn_of_other_code(rows) -> None:
    """A mean over seeds that different code has run is not one of equals."""
    for row in rows:
        about = [(run.locked, run.params, row.method) for run, _ in row.runs.values()]
        known = [found for run in about if (found := made_from(*run))]
        if paths := differing(known):
            print(
                f"warning: the {len(row.runs)} runs of {row.title} were not made by the same code: "
                f"{', '.join(paths[:3])}{' and others' if paths[3:] else ''} changed between them",
                file=sys.stderr,
            )


def disagreement(one, other) -> str:
    """The first metric in which two results of the same settings differ, in words."""
    for key in one.keys() & other.keys():
        a, b = one[key], other[key]
        if (a is None) != (b is None) or (a is not None and abs(a - b) > SAME):
            key = "AP" if one.get("AP") != other.get("AP") else key
            return f"{key} {' and '.join(told_apart(one[key], other[key]))}"
    return ""


def told_apart(*values) -> list[str]:
    """In percent, with as many decimals as it takes."""
    texts = [percent(value) for value in values]
    if len(set(texts)) > 1:
        return texts
    return [f"{100 * value:.4f}" for value in values]


def differing(many: list[dict]) -> list[str]:
    """The keys whose values are not the same in all, in the order of the first that has each."""
    keys = dict.fromkeys(key for values in many for key in values)
    return [key for key in keys if len({values.get(key) for values in many}) > 1]


def label_keys(rows: list[Row]) -> list[str]:
    """The keys that tell the rows apart: in which those of one method differ, and of the shared
    sections all. That bacl has other settings than softmax is what a method is."""
    keys = []
    for method in dict.fromkeys(row.method for row in rows):
        values = [row.settings for row in rows if row.method == method]
        keys += [key for key in differing(values) if not told_by_type(key, values)]
    shared = tuple(f"{section}." for section in SHARED)
    keys += [key for key in differing([r.settings for r in rows]) if key.startswith(shared)]
    return list(dict.fromkeys(keys))


def told_by_type(key, many: list[dict]) -> bool:
    """Whether ``key`` is a part's knob that differs only in that not all parts have it."""
    present = {values[key] for values in many if key in values}
    return len(present) == 1 and all(f"{key.rpartition('.')[0]}.type" in values for values in many)


def name_rows(rows) -> None:
    """A title of its own for each: the label, and where that is not enough what differs."""
    keys = label_keys(rows)
    labels = [row.label for row in rows]
    for row in rows:
        words = [in_words(key, row.settings[key], keys) for key in keys if key in row.settings]
        alone = labels.count(row.label) == 1
        row.title = row.label if alone else ", ".join([row.label, *words])


def in_words(key, text, keys) -> str:
    """ "margin off" for loss.margin=false, "features none" for features.type=none."""
    short = short_key(key)
    unique = [short_key(other) for other in keys].count(short) == 1
    return f"{short if unique else key} {SWITCHES.get(text, text)}"


def short_key(key) -> str:
    return key.removesuffix(".type").rpartition(".")[2]


def find_row(rows: list[Row], wanted: str) -> Row:
    """The row with this title or label; ``ValueError`` where there is not just one."""
    found = [row for row in rows if wanted in (row.title, row.label)]
    if len(found) != 1:
        listed = ", ".join(repr(row.title) for row in rows)
        problem = "several rows are" if found else "no row is"
        raise ValueError(f"{problem} called {wanted!r}; there are: {listed}")
    return found[0]
