"""What the report is made from: the files of earlier stages, read once and checked."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from pipeline.evaluation.groupings import GROUPINGS, Grouping
from pipeline.files import read_json
from pipeline.params import Params
from pipeline.reporting.diagnosis import Diagnosis, find_diagnosis
from pipeline.reporting.ground_truth import Truth, load_truth
from pipeline.tables.compared import Table
from pipeline.tables.seeds import OverSeeds, over_seeds, seeds_table

PER_CATEGORY_NUMBERS = ("AP", "AP50", "fixed_AP")
CURVES = ("loss", "lr", "images_per_second")


@dataclass(frozen=True)
class Inputs:
    """``per_category`` and ``scalars`` have one row a (method, category) and a (method, step).

    ``group`` of ``per_category`` and ``categories`` is the code of ``grouping``'s group.
    ``environments`` holds models/<name>/environment.json of the methods and of what they start
    from, where there is one.
    """

    params: Params
    root: Path
    methods: list[str]
    metrics: dict[str, dict[str, float | None]]
    per_category: pd.DataFrame
    categories: pd.DataFrame
    scalars: pd.DataFrame
    environments: dict[str, dict]
    diagnosis: Diagnosis
    seeds_table: Table
    seeds: dict[str, OverSeeds]

    @property
    def grouping(self) -> Grouping:
        return GROUPINGS[self.params.report.grouping]

    @property
    def baseline(self) -> str:
        return self.params.report.baseline

    @property
    def challenger(self) -> str | None:
        """The last method that is not the baseline: the one the page speaks about."""
        others = [m for m in self.methods if m != self.baseline]
        return others[-1] if others else None

    @cached_property
    def truth(self) -> Truth:
        path = self.root / "data" / self.params.data.name / "val.json"
        return load_truth(path, self.grouping)

    @property
    def val_images(self) -> Path:
        return self.root / self.params.data.images("val")

    def predictions(self, method) -> Path:
        path = self.root / "predictions" / f"{method}.parquet"
        return require_file(path, f"dvc repro predict@{method}")


def load_inputs(params: Params, root=Path()) -> Inputs:
    """Read everything small; ``ValueError`` names a missing file and the command that makes it."""
    methods = list(dict.fromkeys(params.report.methods))
    starts = [start for method in methods for start in params.ancestry(method)]
    models = list(dict.fromkeys([*methods, *starts]))
    grouping = GROUPINGS[params.report.grouping]
    per_category = pd.concat([read_per_category(root, m) for m in methods], ignore_index=True)
    categories = read_categories(root / "data" / params.data.name / "categories.csv")
    metrics = {m: read_metrics(root, m, grouping) for m in methods}
    seeds = seeds_table(params, metrics, root)
    return Inputs(
        params=params,
        root=root,
        methods=methods,
        metrics=metrics,
        per_category=with_group(per_category, grouping),
        categories=with_group(categories, grouping),
        scalars=pd.concat([read_scalars(root, m) for m in models], ignore_index=True),
        environments={m: env for m in models if (env := read_environment(root, m))},
        diagnosis=find_diagnosis(root, methods, params.report.grouping),
        seeds_table=seeds,
        seeds=over_seeds(seeds),
    )


def require_file(path, command) -> Path:
    if not path.is_file():
        raise ValueError(f"{path} does not exist; run: {command}")
    return path


def with_group(table, grouping) -> pd.DataFrame:
    return table.assign(group=grouping.codes(table.to_dict("records")))


def read_metrics(root, method, grouping):
    path = root / "reports" / "metrics" / f"{method}.json"
    metrics = read_json(require_file(path, f"dvc repro evaluate@{method}"))
    missing = [group.key for group in grouping.groups if group.key not in metrics]
    if missing:
        raise ValueError(
            f"{path} has no {missing[0]}: it is older than this grouping; "
            f"run: dvc repro --force evaluate@{method}"
        )
    return metrics


def read_table(path, numbers=()):
    """A csv file whose names are texts, also "none", "nan" or "null"; only numbers may be empty."""
    empty = {column: [""] for column in numbers}
    return pd.read_csv(path, keep_default_na=False, na_values=empty, dtype={"name": str})


def read_per_category(root, method):
    path = root / "reports" / "per_category" / f"{method}.csv"
    require_file(path, f"dvc repro evaluate@{method}")
    table = read_table(path, PER_CATEGORY_NUMBERS)
    table = table.astype(dict.fromkeys(PER_CATEGORY_NUMBERS, float))
    table.insert(0, "method", method)
    return table


def read_categories(path):
    return read_table(require_file(path, "dvc repro prepare"))


def read_scalars(root, method):
    """models/<method>/scalars.jsonl: method, step, epoch and ``CURVES``; no rows where absent."""
    columns = ["method", "step", "epoch", *CURVES]
    path = root / "models" / method / "scalars.jsonl"
    if not path.is_file():
        return pd.DataFrame(columns=columns)
    lines = path.read_text(encoding="utf-8").splitlines()
    try:
        rows = [json.loads(line) for line in lines if line.strip()]
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} has a line that is not JSON: {error}") from None
    return pd.DataFrame([{**row, "method": method} for row in rows]).reindex(columns=columns)


def read_environment(root, method) -> dict | None:
    path = root / "models" / method / "environment.json"
    return read_json(path) if path.is_file() else None
