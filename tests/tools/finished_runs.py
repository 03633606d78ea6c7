"""Finished runs without training: a project's small files, and DVC experiments that hold them."""

import csv
import hashlib
import json
import os
import subprocess

import numpy as np
from ruamel.yaml import YAML

from pipeline.params import Params, parse
from pipeline.params.scope import what_it_reads
from pipeline.runs.identity import address

METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "APr", "APc", "APf", "AR@300")
RESAMPLES = 200
CODE = "c0de"


def settings(seed=0, methods=("softmax", "bacl"), **bacl):
    """params.yaml with ``bacl``'s block changed."""
    block = {"from": "bce", "loss": {"type": "fcbl"}, "epochs": 12} | bacl
    return {
        "seed": seed,
        "data": {"name": "blocks", "source": "symbols"},
        "detector": {"config": "faster_rcnn_r18_fpn", "image_scale": [96, 96]},
        "train": {"batch_size": 16, "learning_rate": 0.04},
        "representation": {
            "softmax": {"loss": {"type": "cross_entropy"}, "epochs": 24},
            "bce": {"loss": {"type": "bce"}, "epochs": 12},
        },
        "classifier": {"bacl": block},
        "report": {"methods": list(methods), "baseline": methods[0]},
    }


def metrics(ap, rare=None):
    values = dict.fromkeys(METRICS, ap) | {"APr": ap / 2 if rare is None else rare, "APl": None}
    return values | {f"fixed/{key}": value for key, value in values.items()}


def replicates(values, noise=0.01, seed=0):
    """Per metric [RESAMPLES]; the images' part is the same for all runs of one ``seed``."""
    shared = np.random.default_rng(seed).normal(0, noise, RESAMPLES)
    return {
        key: np.round(values[key] + shared, 6) for key in ("AP", "APr", "APc", "APf")
    }  # fmt: skip


def write_results(
    folder, values, results, bootstraps=(), data="d0.dir", code=CODE, evaluating=CODE
):
    """params.yaml, dvc.lock and each method's files, as one finished run leaves them.

    ``results``: method -> metrics; ``bootstraps``: method -> metric -> array; ``code`` and
    ``evaluating``: the digests of the code that the trainings and the evaluations ran.
    """
    folder.mkdir(parents=True, exist_ok=True)
    dump(folder / "params.yaml", values)
    for method, found in results.items():
        write(folder / f"reports/metrics/{method}.json", json.dumps(found))
    for method, columns in dict(bootstraps).items():
        write_bootstrap(folder / f"reports/diagnosis/{method}/bootstrap.csv", columns)
    stages = lock(folder, values, data, code, evaluating) if results else {}
    dump(folder / "dvc.lock", {"schema": "2.0", "stages": stages})


def lock(folder, values, data, code, evaluating):
    """Of every stage of the methods what DVC would note; models differ by their seed."""
    params = parse(Params, values, "")
    seed, data_dep = params.seed, {"path": f"data/{params.data.name}", "md5": data}

    def stage(name, method, deps, outs, code=CODE):
        reads = what_it_reads(params, name, method)
        entry = {"params": reads, "code": code, "packages": {}, "files": {}}
        key = f"{name}.{method}" if method else name
        noted = {"data/inputs.json": {key: entry}}
        stages[address(name, method)] = {"cmd": "x", "deps": deps, "params": noted, "outs": outs}

    stages = {}
    stage("prepare", "", [], [data_dep])
    for method, block in params.methods().items():
        start = [{"path": f"models/{block.start}/weights.pth", "md5": "w"}] if block.start else []
        out = {"path": f"models/{method}", "md5": f"{method}{seed}.dir"}
        stage(block.stage, method, [data_dep, *start], [out], code)
    for method in params.report.methods:
        weights = {"path": f"models/{method}/weights.pth", "md5": "w"}
        found = {"path": f"predictions/{method}.parquet", "md5": f"p{seed}"}
        stage("predict", method, [data_dep, weights], [found])
        path = f"reports/metrics/{method}.json"
        if (folder / path).is_file():
            md5 = hashlib.md5((folder / path).read_bytes()).hexdigest()
            out = {"path": path, "md5": md5}
            stage("evaluate", method, [data_dep, found], [out], evaluating)
        diagnosis = f"reports/diagnosis/{method}"
        if (folder / diagnosis).is_dir():
            stage("diagnose", method, [found], [{"path": diagnosis, "md5": "x.dir"}])
    return stages


def write_bootstrap(path, columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for row in zip(*columns.values(), strict=True):
            writer.writerow(["" if np.isnan(value) else value for value in row])


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def dump(path, values):
    with open(path, "w", encoding="utf-8") as file:
        YAML().dump(values, file)


def git(folder, *arguments, **variables):
    who = {
        f"GIT_{role}_{what}": "tests@x"
        for role in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    done = subprocess.run(
        ("git", *arguments), cwd=folder, env={**os.environ, **who, **variables},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def make_repository(folder):
    """An empty project with one commit, from which experiments start."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "--quiet")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "start")
    return folder


def add_experiment(folder, name, minute=0, **results):
    """A commit under refs/exps, as DVC makes it, of a copy that has these results.

    The folder itself stays as it is. ``minute`` is its age, from old to new.
    """
    copy = folder / ".git" / "experiment"
    copy.mkdir()
    write_results(copy, **results)
    where = {"GIT_DIR": str(folder / ".git"), "GIT_WORK_TREE": str(copy)}
    where |= {"GIT_INDEX_FILE": str(copy / ".index")}
    git(copy, "add", "--all", "--force", "--", ":!.index", **where)
    tree = git(copy, "write-tree", **where)
    date = f"2026-01-01T00:{minute:02}:00+0000"
    start = git(folder, "rev-parse", "HEAD")
    commit = git(
        folder, "commit-tree", tree, "-p", start, "-m", name,
        GIT_COMMITTER_DATE=date, GIT_AUTHOR_DATE=date,
    )  # fmt: skip
    git(folder, "update-ref", f"refs/exps/{start[:2]}/{start[2:]}/{name}", commit)
    subprocess.run(["rm", "-rf", copy], check=True)
