"""The report's methods under other training seeds: found among DVC's experiments, and summed up."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.comparison import folders
from pipeline.comparison.grouping import Row, settings
from pipeline.comparison.records import Finished, Result, load_yaml, parse_replicates
from pipeline.comparison.statistics import Interval, Summary
from pipeline.evaluation.groupings import GROUPINGS
from pipeline.files import read_json
from pipeline.params import Params, parse

FILE = Path("reports", "seeds.json")
DIGITS = 5


@dataclass(frozen=True)
class OverSeeds:
    """One method: its seeds, the own one first, and of each metric the values and their summary.

    ``intervals``: of AP and each group's AP the 95 % interval of the difference to the baseline
    (statistics.paired_interval); None of the baseline, and where there are no replicates.
    """

    seeds: list[int]
    values: dict[str, list[float | None]]
    summaries: dict[str, Summary]
    intervals: dict[str, Interval | None]


def over_seeds(params: Params, metrics: dict[str, dict], root=Path()) -> dict[str, OverSeeds]:
    """Of each method of ``metrics`` (method -> metrics of this run), with what reports/seeds.json
    has of other seeds and reports/diagnosis/<method>/bootstrap.csv of this one's replicates."""
    found = read_json(root / FILE) if (root / FILE).is_file() else {}
    rows = {
        method: Row(method, {}, {params.seed: (None, own_result(root, method, own))})
        for method, own in metrics.items()
    }
    for method, row in rows.items():
        for seed, entry in found.get(method, {}).items():
            row.runs[int(seed)] = None, entry_result(entry)
    keys = ["AP", *(group.key for group in GROUPINGS[params.report.grouping].groups)]
    base = rows[params.report.baseline]
    return {method: sum_up(row, base, list(metrics[method]), keys) for method, row in rows.items()}


def sum_up(row, base, metrics, compared) -> OverSeeds:
    return OverSeeds(
        seeds=list(row.runs),
        values={key: row.values(key) for key in metrics},
        summaries={key: row.summary(key) for key in metrics},
        intervals={k: None if row is base else row.difference(base, k)[1] for k in compared},
    )


def own_result(root, method, metrics) -> Result:
    path = root / "reports" / "diagnosis" / method / "bootstrap.csv"
    return Result(metrics, parse_replicates(path, path.read_bytes() if path.is_file() else b""))


def entry_result(entry) -> Result:
    columns = {key: np.array(values, float) for key, values in entry["bootstrap"].items()}
    return Result(entry["metrics"], columns)


def find_seeds(folder: Path) -> dict[str, dict[str, dict]]:
    """method -> seed -> {run, place, metrics, bootstrap}, without the folder's own seed.

    Of experiments whose params and data are those of the folder and whose models were trained by
    the same code, by both files dvc.lock; of several with one seed the newest.
    """
    references = folders.experiments(folder)
    own = folders.read_workspace(folder) if references else None
    found = {method: {} for method in own.results} if own else {}
    for name, reference in references.items():
        if not other_seed(own, folder, reference):
            continue
        if run := folders.read_or_warn(folder, name, reference):
            for method in same_methods(own, run):
                found[method].setdefault(str(run.params.seed), entry(run, method))
    return {method: dict(sorted(seeds.items(), key=by_seed)) for method, seeds in found.items()}


def by_seed(item):
    return int(item[0])


def other_seed(own, folder, reference) -> bool:
    """By its params alone, which are read faster than its dvc.lock."""
    content = folders.read_commit(folder, reference, "params.yaml")["params.yaml"]
    try:
        params = parse(Params, load_yaml("params.yaml", content), "")
    except ValueError:  # of another version of the project
        return False
    return params.seed != own.params.seed and any(
        has_same_settings(own.params, params, method) for method in own.results
    )


def has_same_settings(one: Params, other: Params, method) -> bool:
    known = {**other.representation, **other.classifier}
    return method in known and settings(one, method) == settings(other, method)


def same_methods(own: Finished, run: Finished) -> list[str]:
    return [
        method
        for method in own.results
        if method in run.results
        and has_same_settings(own.params, run.params, method)
        and (inputs := training_inputs(own, method)) is not None
        and inputs == training_inputs(run, method)
    ]


def training_inputs(run: Finished, method) -> dict[str, dict[str, str]] | None:
    """Of each stage that made the model the md5 of the data and code it read; None where dvc.lock
    does not know one. Models that it read are left out: they follow from the seed."""
    start = getattr(run.params.method(method), "start_from", None)
    stages = {}
    for name in filter(None, (method, start)):
        entry = next((e for key, e in run.locked.items() if key in making_stages(name)), None)
        if entry is None:
            return None
        deps = {dep["path"]: dep.get("md5") for dep in entry.get("deps", [])}
        stages[name] = {path: md5 for path, md5 in deps.items() if not path.startswith("models/")}
    return stages


def making_stages(name):
    makers = ("train_representation", "train_classifier", "import_checkpoint")
    return [f"{stage}@{name}" for stage in makers]


def entry(run: Finished, method) -> dict:
    result = run.results[method]
    bootstrap = {
        key: [None if np.isnan(value) else round(float(value), DIGITS) for value in column]
        for key, column in result.replicates.items()
    }
    return {
        "run": run.name, "place": run.place, "metrics": result.metrics, "bootstrap": bootstrap,
    }  # fmt: skip


def to_text(found) -> str:
    """Compact: a seed has a thousand replicates of each metric."""
    return json.dumps(found, separators=(",", ":"), ensure_ascii=False) + "\n"
