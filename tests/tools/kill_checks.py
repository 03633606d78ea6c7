"""What must hold after a kill and at the end of a pipeline, for the kill harness."""

import contextlib
import fcntl
import json
import os
import re
import sqlite3
import subprocess
from collections import Counter
from pathlib import Path

import pandas as pd
import torch
from kill_processes import RUNNING, environment, processes_of
from ruamel.yaml import YAML, YAMLError

TEMPORARY = re.compile(r"^\..+\.[a-z0-9_]{8}(\.\w+)?$|\.part$|\.damaged$")
MIRROR_FILE = re.compile(r"^(\.mlflow-mirror\.(json|log|lock)|mlflow\.db.*)$")
LOG = re.compile(r"/\d{8}_\d{6}/")
ALWAYS = {"check", "seeds", "track"}  # stages that run in every repro
OTHER_PLACES = {".git", ".dvc", "__pycache__", "mlartifacts"}
REMEDY = "rm -f .dvc/tmp/rwlock dvc.lock"  # README; DVC's run cache still knows what was done


def stuck_locks(project):
    """Locks that somebody still holds, with no process left that could."""
    files = [*project.glob(".checkpoints/*/lock"), project / ".dvc/tmp/lock"]
    return [f"{path.relative_to(project)} is still held" for path in files if held(path)]


def held(path):
    if not path.is_file():
        return False
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def broken_by_dvc(project):
    """Files that DVC writes in place, and that a kill of DVC itself can cut off."""
    broken = []
    with contextlib.suppress(FileNotFoundError):
        try:
            json.loads((project / ".dvc/tmp/rwlock").read_text())
        except json.JSONDecodeError:
            broken.append("rwlock")
    with contextlib.suppress(FileNotFoundError):
        if not is_lock_file((project / "dvc.lock").read_text()):
            broken.append("dvc.lock")
    return broken


def is_lock_file(text):
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from voluptuous import Invalid

    try:
        COMPILED_LOCKFILE_SCHEMA(YAML(typ="safe").load(text))
    except (YAMLError, Invalid):
        return False
    return True


def checkpoints(project):
    """The newest checkpoint of each training that is not finished: {method: file name}."""
    newest = {}
    for folder in project.glob(".checkpoints/*"):
        steps = [int(path.stem.split("_")[1]) for path in folder.glob("step_*.pth")]
        if steps and not (folder / "model").is_dir():
            newest[folder.name.rpartition("-")[0]] = f"step_{max(steps)}.pth"
    return newest


def wrong_resumes(text, expected):
    """Trainings in ``text`` that did not go on from the checkpoint that was there before."""
    wrong = []
    for stage, part in zip(RUNNING.findall(text), RUNNING.split(text)[2::2], strict=True):
        kind, _, method = stage.partition("@")
        if not kind.startswith("train_") or method not in expected:
            continue
        found = re.search(r"^resuming \S+ from .*/(\S+)$", part, re.MULTILINE)
        trained = re.search(r"Epoch\(train\)", part)
        if (found or trained) and (found and found[1]) != expected[method]:
            wrong.append(f"{stage} went on from {found and found[1]}, not {expected[method]}")
    return wrong


def differences(reference, project):
    """Results that are not those of the undisturbed run."""
    wrong = []
    for path in sorted(reference.glob("reports/metrics/*.json")):
        name = path.relative_to(reference)
        if not same(path, project / name, lambda p: json.loads(p.read_text())):
            wrong.append(f"{name} differs")
    for path in sorted(reference.glob("models/*/weights.pth")):
        name = path.relative_to(reference)
        if not (project / name).is_file() or not same_weights(path, project / name):
            wrong.append(f"{name} differs")
    for path in sorted(reference.glob("predictions/*.parquet")):
        name = path.relative_to(reference)
        if not (project / name).is_file() or not same_table(path, project / name):
            wrong.append(f"{name} differs")
    return wrong


def same(first, second, read):
    return second.is_file() and read(first) == read(second)


def same_weights(first, second):
    a, b = (torch.load(path, weights_only=True) for path in (first, second))
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def same_table(first, second):
    return pd.read_parquet(first).equals(pd.read_parquet(second))


def files_of(project):
    """Every file of the project but git's, DVC's, the mirror's, and mmengine's logs."""
    found = set()
    for folder, folders, names in os.walk(project):
        folders[:] = [name for name in folders if name not in OTHER_PLACES]
        found |= {str(Path(folder, name).relative_to(project)) for name in names}
    found = {name for name in found if not LOG.search(name)}
    return {name for name in found if not MIRROR_FILE.search(name)}


def leftovers(reference, project):
    """Temporary files, and files more or less than in the undisturbed run."""
    here, there = files_of(project), files_of(reference)
    parts = {name for name in here if any(TEMPORARY.search(part) for part in Path(name).parts)}
    wrong = [f"temporary file {name} is left" for name in sorted(parts)]
    wrong += [f"{name} is not in the undisturbed run" for name in sorted(here - there - parts)]
    return wrong + [f"{name} is missing" for name in sorted(there - here)]


def sound_dvc(project, scratch):
    """`dvc status` works, a repro has nothing to do, and nobody is on DVC's list of locks."""
    wrong = []
    status, repro = (run_dvc(project, scratch, *c) for c in (["status"], ["repro"]))
    for done in (status, repro):
        if done.returncode:
            wrong.append(f"{' '.join(done.args)}: {(done.stdout + done.stderr)[-400:]}")
    again = set(RUNNING.findall(repro.stdout + repro.stderr)) - ALWAYS
    if again:
        wrong.append(f"a finished pipeline ran again: {sorted(again)}")
    return wrong + lock_entries(project)


def lock_entries(project):
    """DVC keeps what a killed one was reading until somebody wants to write that."""
    entries = json.loads((project / ".dvc/tmp/rwlock").read_text())
    living = {process.pid for process in processes_of(project)}
    wrong = [f"DVC's rwlock has a writer of {path}" for path in entries.get("write", {})]
    for path, readers in entries.get("read", {}).items():
        if living & {reader["pid"] for reader in readers}:
            wrong.append(f"DVC's rwlock has a living reader of {path}")
    return wrong


def run_dvc(project, scratch, *arguments):
    return subprocess.run(
        ["dvc", *arguments], cwd=project, env=environment(scratch), capture_output=True, text=True
    )


def tracked_runs(project):
    """How many living MLflow runs there are of each stage (None: the pipeline's own)."""
    with contextlib.closing(sqlite3.connect(project / "mlflow.db")) as database:
        (sound,) = database.execute("PRAGMA integrity_check").fetchone()
        assert sound == "ok", sound
        rows = database.execute(
            "SELECT t.value, r.status FROM runs r LEFT JOIN tags t"
            " ON t.run_uuid = r.run_uuid AND t.key = 'stage' WHERE r.lifecycle_stage = 'active'"
        ).fetchall()
    return Counter(rows)


def wrong_tracking(reference, project):
    expected, found = tracked_runs(reference), tracked_runs(project)
    return [] if expected == found else [f"MLflow has {found}, not {expected}"]
