"""A finished run of the pipeline as plain values, and how it is read from a project's files.

The files are those of a folder, or of a git commit (a DVC experiment). As a commit also holds what
its run did not make anew, only results that belong to its params.yaml, by its dvc.lock, count.
"""

import csv
import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.params import Params, parse
from pipeline.runs.dvc_lock import known_stages, stale_in_commit

Read = Callable[..., dict[str, bytes | None]]  # paths -> their bytes, None where there is no file


@dataclass(frozen=True, eq=False)
class Result:
    """``metrics``: fractions, None where undefined. ``replicates``: of some metrics an array [R],
    one value a resample of the val images, NaN where undefined."""

    metrics: dict[str, float | None]
    replicates: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Finished:
    """``results`` by method; ``data``: digests of the annotations ("train", "val") and of the whole
    "folder", as far as known; ``locked``: dvc.lock's stages, by name."""

    name: str
    place: str
    params: Params
    data: dict[str, str]
    results: dict[str, Result]
    locked: dict[str, dict] = field(default_factory=dict)


def read_finished(read: Read, name: str, place: str, digests) -> Finished:
    """``digests(params, locked)`` tells the data; ``ValueError`` where a file cannot be read."""
    files = read("params.yaml", "dvc.lock")
    values = load_yaml("params.yaml", files["params.yaml"])
    params = parse(Params, values, "")
    lock = load_yaml("dvc.lock", files["dvc.lock"] or b"{}") or {}
    locked = known_stages(lock.get("stages") or {}, params)
    results = read_results(read, params.report.methods, locked, stale_in_commit(locked, params))
    return Finished(name, place, params, digests(params, locked), results, locked)


def load_yaml(path, content):
    if content is None:
        raise ValueError(f"{path} does not exist")
    try:
        return YAML(typ="safe", pure=True).load(content.decode())
    except (YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None


def read_results(read, methods, locked, stale) -> dict[str, Result]:
    metrics = {method: f"reports/metrics/{method}.json" for method in methods}
    bootstraps = {method: f"reports/diagnosis/{method}/bootstrap.csv" for method in methods}
    files = read(*metrics.values(), *bootstraps.values())
    current = {
        path: content
        for path, content in files.items()
        if content is not None and is_current(path, content, locked, stale)
    }
    return {
        method: Result(
            parse_metrics(path, current[path]),
            parse_replicates(bootstraps[method], current.get(bootstraps[method], b"")),
        )
        for method, path in metrics.items()
        if path in current
    }


def is_current(path, content, locked, stale) -> bool:
    """Whether the file is what the last run of its stage made; dvc.lock may not know the stage."""
    for name, stage in locked.items():
        for out in stage.get("outs", []):
            if out["path"] == path:
                md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
                return name not in stale and out.get("md5") == md5
            if path.startswith(f"{out['path']}/"):
                return name not in stale
    return True


def parse_metrics(path, content) -> dict[str, float | None]:
    try:
        metrics = json.loads(content)
        return {key: None if value is None else float(value) for key, value in metrics.items()}
    except (ValueError, TypeError, AttributeError):
        raise ValueError(f"{path} is no JSON of metrics") from None


def parse_replicates(path, content: bytes) -> dict[str, np.ndarray]:
    """The columns of a bootstrap.csv; {} of an empty text."""
    header, *rows = csv.reader(io.StringIO(content.decode())) if content else [[]]
    try:
        columns = zip(*rows, strict=True)
        return {
            key: np.array([float(value) if value else np.nan for value in column])
            for key, column in zip(header, columns, strict=True)
        }
    except ValueError:
        raise ValueError(f"{path} is no table of numbers") from None
