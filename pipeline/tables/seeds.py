"""The report's methods under other training seeds: found among DVC's experiments, and summed up."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.evaluation.groupings import GROUPINGS
from pipeline.files import read_json
from pipeline.params import Params, parse
from pipeline.runs import folders
from pipeline.runs.dvc_lock import made_from
from pipeline.runs.finished import Finished, Result, load_yaml, parse_replicates
from pipeline.runs.identity import digest
from pipeline.tables.ap import MASKS
from pipeline.tables.compared import Table, known_metrics, make_columns
from pipeline.tables.intervals import Interval, Summary
from pipeline.tables.rows import Row, seed_of, settings

FILE = Path("reports", "seeds.json")
DIGITS = 5


@dataclass(frozen=True)
class OverSeeds:
    """One method: its seeds, the own one first (None of an imported model), and of each metric the
    values and their summary.

    ``intervals``: of AP and each group's AP, of boxes and masks, the 95 % interval of the
    difference to the baseline (statistics.paired_interval); None of the baseline, and where there
    are no replicates.
    """

    seeds: list[int | None]
    values: dict[str, list[float | None]]
    summaries: dict[str, Summary]
    intervals: dict[str, Interval | None]


def seeds_table(params: Params, metrics: dict[str, dict], root=Path()) -> Table:
    """A row for each method of ``metrics`` (method -> metrics of this run), with what
    reports/seeds.json has of other seeds and reports/diagnosis/<method>/bootstrap.csv of this one's
    replicates; AP and the groups' APs, of the boxes and, where there are any, of the masks."""
    found = read_earlier(root)
    rows = {
        method: Row(method, {}, {seed_of(params, method): own_run(root, method, own)}, title=method)
        for method, own in metrics.items()
    }
    for method, row in rows.items():
        for seed, entry in found.get(method, {}).items():
            row.runs[int(seed)] = None, entry_result(entry)
    keys = ["AP", *(group.key for group in GROUPINGS[params.report.grouping].groups)]
    known = known_metrics(rows.values())
    keys += [MASKS + key for key in keys if MASKS + key in known]
    columns = make_columns(keys, rows.values())
    return Table(list(rows.values()), [], columns, rows[params.report.baseline])


def over_seeds(table: Table) -> dict[str, OverSeeds]:
    return {row.method: sum_up(row, table) for row in table.rows}


def sum_up(row, table) -> OverSeeds:
    metrics = {key: None for _, result in row.runs.values() for key in result.metrics}
    return OverSeeds(
        seeds=list(row.runs),
        values={key: row.values(key) for key in metrics},
        summaries={key: row.summary(key) for key in metrics},
        intervals={column.key: interval(row, table, column.key) for column in table.columns},
    )


def interval(row, table, key) -> Interval | None:
    return None if row is table.baseline else row.difference(table.baseline, key)[1]


def own_run(root, method, metrics):
    path = root / "reports" / "diagnosis" / method / "bootstrap.csv"
    replicates = parse_replicates(path, path.read_bytes() if path.is_file() else b"")
    return None, Result(metrics, replicates)


def entry_result(entry) -> Result:
    columns = {key: np.array(values, float) for key, values in entry["bootstrap"].items()}
    return Result(entry["metrics"], columns)


def find_seeds(folder: Path) -> dict[str, dict[str, dict]]:
    """method -> seed -> {run, place, made_from, metrics, bootstrap}, without the folder's own seed.

    Of experiments whose params, data and code are those of the folder, by both files dvc.lock; of
    several with one seed the newest. What an earlier call found stays as long as that holds of it:
    a clone has this file, and not the experiments.
    """
    references, earlier = folders.experiments(folder), read_earlier(folder)
    if not references and not earlier:
        return {}
    own = folders.read_workspace(folder)
    trained = [method for method in own.results if seed_of(own.params, method) is not None]
    found = {method: still_valid(own, method, earlier.get(method, {})) for method in trained}
    for name, reference in reversed(references.items()):
        if not other_seed(own, folder, reference):
            continue
        if run := folders.read_or_warn(folder, name, reference):
            for method in run.results.keys() & found.keys():
                made_from = identity(run, method)
                if made_from and made_from == identity(own, method):
                    found[method][str(run.params.seed)] = entry(run, method, made_from)
    return {method: dict(sorted(seeds.items(), key=by_seed)) for method, seeds in found.items()}


def read_earlier(folder) -> dict[str, dict[str, dict]]:
    path = folder / FILE
    found = read_json(path) if path.is_file() else {}
    try:
        entries = [entry for seeds in found.values() for entry in seeds.values()]
        complete = all({"metrics", "bootstrap"} <= entry.keys() for entry in entries)
    except AttributeError:
        complete = False
    if not complete:
        raise ValueError(f"{path} is not what the stage `seeds` writes; delete it, and run that")
    return found


def still_valid(own, method, seeds) -> dict[str, dict]:
    made_from = identity(own, method)
    return {
        seed: entry
        for seed, entry in seeds.items()
        if int(seed) != own.params.seed and made_from and entry.get("made_from") == made_from
    }


def by_seed(item):
    return int(item[0])


def other_seed(own, folder, reference) -> bool:
    """By its params alone, which are read faster than its dvc.lock."""
    content = folders.read_commit(folder, reference, "params.yaml")["params.yaml"]
    try:
        params = parse(Params, load_yaml("params.yaml", content), "")
    except ValueError:  # of another version of the project
        return False
    return params.seed != own.params.seed and bool(params.methods().keys() & own.results.keys())


def identity(run, method) -> str | None:
    """Equal for the seeds of one configuration of the method that the same code has run."""
    found = made_from(run.locked, run.params, method)
    return None if found is None else digest([settings(run, method), found])


def entry(run: Finished, method, made_from) -> dict:
    result = run.results[method]
    bootstrap = {
        key: [None if np.isnan(value) else round(float(value), DIGITS) for value in column]
        for key, column in result.replicates.items()
    }
    return {
        "run": run.name,
        "place": run.place,
        "made_from": made_from,
        "metrics": result.metrics,
        "bootstrap": bootstrap,
    }


def to_text(found) -> str:
    """Compact: a seed has a thousand replicates of each metric."""
    return json.dumps(found, separators=(",", ":"), ensure_ascii=False) + "\n"
