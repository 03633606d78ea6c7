"""Many processes that start at once on what none of them has made yet: none fails."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient
from tracking_project import Server, scalars, write, write_project

from pipeline import presets
from pipeline.files import file_digest
from pipeline.tracking.background import CODE

COPIES = 6
RUNS_OF_A_COPY = 9  # the pipeline's own and one for each stage but predict
RUNS_OF_A_REPRO = 12
ONE_EPOCH = {
    "gpus: auto": "gpus: 0",
    "train_images: 120": "train_images: 32",
    "val_images: 24": "val_images: 8",
    "    epochs: 4\n    milestones: [3]\n": "    epochs: 1\n",
    "    epochs: 2\n": "    epochs: 1\n",
}


def environment(**more):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    who = [f"GIT_{role}_{what}" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]
    own = {"PATH": path, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "SHELL": "/bin/sh"}
    return {**os.environ, **dict.fromkeys(who, "tests"), **own, **more}


def start(folder, *command, **more):
    return subprocess.Popen(
        command, cwd=folder, env=environment(**more), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def finish(process):
    output, _ = process.communicate(timeout=900)
    assert process.returncode == 0, output
    assert "warning: MLflow" not in output
    assert "Traceback" not in output
    return output


@pytest.fixture(params=["sqlite", "server"])
def uri(request, tmp_path):
    """A store that nobody has used: a database file that is not there, or a new server's."""
    folder = tmp_path / "store"
    folder.mkdir()
    if request.param == "sqlite":
        yield f"sqlite:///{folder}/mlflow.db"
    else:
        with Server(folder) as server:
            yield server.uri


def edit(path, changes):
    text = path.read_text(encoding="utf-8")
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def copies(folder, root, uri):
    """Projects of different seeds, so each a configuration of its own."""
    made = [folder / f"copy{seed}" for seed in range(COPIES + 1)]
    for seed, copy in enumerate(made):
        copy.mkdir()
        write_project(copy, root)
        store = {"uri: sqlite": f"uri: '{uri}'", "\nseed: 0": f"\nseed: {seed}"}
        edit(copy / "params.yaml", store)
    return made


def runs_of(uri, experiment):
    client = MlflowClient(tracking_uri=uri)
    return client.search_runs([client.get_experiment_by_name(experiment).experiment_id])


def test_six_copies_of_the_project_share_a_fresh_store(uri, tmp_path, root):
    """And a training in a seventh is just being mirrored, too."""
    *folders, seventh = copies(tmp_path, root, uri)
    (seventh / "reports/index.html").unlink()
    running = seventh / ".checkpoints/scalars.jsonl"
    write(running, scalars(range(1, 11)))
    sync = [sys.executable, "-m", "pipeline.tracking", "sync", "--root"]
    started = [start(CODE, *sync, str(folder)) for folder in folders]
    live = ["--live", "--scalars", f"bacl={running}"]
    started.append(start(CODE, *sync, str(seventh), *live))
    outputs = [finish(process) for process in started]
    if "another mirror is running" in outputs[-1]:  # it does not wait for a database
        outputs[-1] = finish(start(CODE, *sync, str(seventh), *live))
    assert all(out.startswith("mirrored 1 pipeline run") for out in outputs), outputs
    runs = runs_of(uri, "bacl")
    parents = [run for run in runs if run.data.tags["kind"] == "pipeline"]
    assert len(parents) == len({run.data.tags["config_hash"] for run in parents}) == COPIES + 1
    # the one without a report is not finished, and has no run for that stage
    assert len(runs) == (COPIES + 1) * RUNS_OF_A_COPY - 1
    for run in parents:
        assert run.data.metrics["bacl/AP"] == pytest.approx(30)
    (training,) = [run for run in runs if run.info.status == "RUNNING" and run not in parents]
    assert training.data.tags["stage"] == "train_classifier@bacl"
    assert training.data.tags["last_step"] == "10"


def clone(folder, root, seed, uri):
    """The smoke preset with as little to train as there can be."""
    here = Path.cwd()
    os.chdir(root)
    try:
        presets.copy("smoke", folder)
    finally:
        os.chdir(here)
    small = {**ONE_EPOCH, "\nseed: 0\n": f"\nseed: {seed}\n", "uri: sqlite": f"uri: '{uri}'"}
    edit(folder / "params.yaml", small)
    return folder


@pytest.mark.slow
def test_two_cold_repros_share_a_fresh_store(uri, tmp_path, root):
    folders = [clone(tmp_path / f"clone{seed}", root, seed, uri) for seed in range(2)]
    for process in [start(folder, "dvc", "repro") for folder in folders]:
        finish(process)
    runs = runs_of(uri, "smoke")
    assert len(runs) == 2 * RUNS_OF_A_REPRO
    assert sum(run.data.tags["kind"] == "pipeline" for run in runs) == 2
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_two_stages_that_need_the_same_training_train_it_once(tmp_path, root):
    """As two experiments of DVC do, each in a copy of the project."""
    first = clone(tmp_path / "first", root, 0, "sqlite")
    done = start(first, sys.executable, "-m", "stages.prepare")
    finish(done)
    second = tmp_path / "second"
    shutil.copytree(first, second)
    stage = [sys.executable, "-m", "stages.train_representation", "bce"]
    shared = {"DVC_ROOT": str(tmp_path / "shared")}
    (tmp_path / "shared").mkdir()
    outputs = [finish(p) for p in [start(folder, *stage, **shared) for folder in (first, second)]]
    assert sum("Epoch(train)" in output for output in outputs) == 1
    assert sum("waiting: another process works in" in output for output in outputs) == 1
    weights = {file_digest(folder / "models/bce/weights.pth") for folder in (first, second)}
    assert len(weights) == 1
    lines = (first / "models/bce/scalars.jsonl").read_text().splitlines()
    assert len({json.loads(line)["step"] for line in lines}) == len(lines)
