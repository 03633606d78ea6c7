"""The whole chain, tiny, through real `dvc repro`: one copy of the project, edited step by step.

The tests of this file run in order on the same copy; each starts from a finished pipeline.
"""

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch

from pipeline import presets
from pipeline.compute.checkpoints import checkpoint_files
from pipeline.failures import explain
from pipeline.files import file_digest
from stages.predict import predict
from stages.train_classifier import train_classifier
from stages.train_representation import train_representation

METHODS = ("softmax", "bce", "bacl")
IMAGES = 48  # 6 steps an epoch: enough to be killed in between


@pytest.fixture(scope="module")
def project(root, tmp_path_factory):
    """A finished run of the `smoke` preset on fewer images."""
    folder = tmp_path_factory.mktemp("chain") / "project"
    here = Path.cwd()
    os.chdir(root)
    try:
        presets.copy("smoke", folder)
    finally:
        os.chdir(here)
    edit(folder, "params.yaml", "gpus: auto", "gpus: 0")
    edit(folder, "params.yaml", "train_images: 120", f"train_images: {IMAGES}")
    dvc(folder, "repro")
    return folder


def environment():
    """Of a shell in which `dvc`, `python` and the shell's tools are this environment's."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    who = [f"GIT_{role}_{what}" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]
    return {**os.environ, **dict.fromkeys(who, "tests"), "PATH": path, "OMP_NUM_THREADS": "1"}


def dvc(folder, *arguments, ok=True):
    """Run dvc; returns what it printed."""
    done = subprocess.run(
        ["dvc", *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=900,
    )
    output = done.stdout + done.stderr
    assert (done.returncode == 0) == ok, output
    return output


def edit(folder, file, old, new):
    path = folder / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def stages_run(output):
    return set(re.findall(r"Running stage '([^']+)'", output)) - {"check", "seeds", "track"}


def test_every_output_is_there_and_sound(project):
    images = json.loads((project / "data/symbols/val.json").read_text())["images"]
    for method in METHODS:
        state = torch.load(project / "models" / method / "weights.pth", weights_only=True)
        assert all(torch.isfinite(v).all() for v in state.values())
        table = pd.read_parquet(project / "predictions" / f"{method}.parquet")
        assert set(table.image_id) <= {image["id"] for image in images}
        assert table.score.between(0, 1).all()
        metrics = json.loads((project / "reports/metrics" / f"{method}.json").read_text())
        assert {"AP", "APr", "APc", "APf", "AR@300", "fixed/AP"} <= set(metrics)
    assert not list(project.glob("**/.*.part"))


def test_the_table_has_one_row_a_method(project):
    table = pd.read_csv(project / "reports/ap_by_frequency.csv")
    assert list(table.iloc[:, 0]) == list(METHODS)
    for name in ("ap_by_frequency.md", "ap_by_frequency.tex", "index.html"):
        assert "bacl" in (project / "reports" / name).read_text(encoding="utf-8")


def test_the_classifier_stage_changed_the_heads_only(project):
    before, after = (
        torch.load(project / "models" / m / "weights.pth", weights_only=True)
        for m in ("bce", "bacl")
    )
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert changed
    assert all(re.search(r"fc_cls|fc_reg|rpn", key) for key in changed)
    assert "roi_head.bbox_head.fc_cls.weight" in changed
    assert after["roi_head.hallucination.seen"].any()
    assert after["roi_head.bbox_head.loss_cls.class_count"].sum() > 0


def test_a_second_repro_runs_nothing(project):
    assert stages_run(dvc(project, "repro")) == set()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("gallery_images: 3", "gallery_images: 2", {"report"}),
        ("workers: 1", "workers: 0", set()),
        ("experiment: smoke", "experiment: other", set()),
    ],
)
def test_an_edit_that_trains_nothing(project, old, new, expected):
    edit(project, "params.yaml", old, new)
    assert stages_run(dvc(project, "repro")) == expected


def test_an_experiment_on_the_classifier_leaves_the_representations_cached(project):
    output = dvc(project, "exp", "run", "-S", "classifier.bacl.loss.alpha=0.5")
    assert stages_run(output) == {
        "train_classifier@bacl",
        "predict@bacl",
        "evaluate@bacl",
        "diagnose@bacl",
        "report",
    }
    assert "alpha: 0.5" in (project / "params.yaml").read_text()


def test_a_new_block_is_a_new_method(project):
    edit(
        project,
        "params.yaml",
        "classifier:\n",
        "classifier:\n  margin:\n    from: bce\n    epochs: 1\n    augmentation: {flip: 0.0}\n"
        "    loss: {type: fcbl, weight: false}\n",
    )
    edit(project, "params.yaml", "methods: [softmax, bce, bacl]", "methods: [softmax, bce, margin]")
    assert stages_run(dvc(project, "repro")) == {
        "train_classifier@margin",
        "predict@margin",
        "evaluate@margin",
        "diagnose@margin",
        "report",
    }
    state = torch.load(project / "models/margin/weights.pth", weights_only=True)
    assert not any("hallucination" in key for key in state)


@pytest.mark.parametrize("shell", ["/bin/bash", "/bin/sh"])  # sh stays the parent of what it runs
def test_a_killed_training_goes_on_and_ends_with_the_same_weights(project, shell):
    reference = file_digest(project / "models/bce/weights.pth")
    folder = next((project / ".checkpoints").glob("bce-*"))
    shutil.rmtree(folder)
    forced = ["repro", "--force", "--single-item", "train_representation@bce"]
    running = subprocess.Popen(
        ["dvc", *forced], cwd=project, env={**environment(), "SHELL": shell},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not list(folder.glob("step_*.pth")):
        assert running.poll() is None
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.wait()
    wait_until_free(folder / "lock")
    # as after a power loss: the newest checkpoint is there, but not whole
    saved = checkpoint_files(folder)[0].read_bytes()
    (folder / "step_999.pth").write_bytes(saved[:20_000])
    output = dvc(project, *forced)
    assert "step_999.pth is damaged" in output
    assert "resuming bce from" in output
    assert file_digest(project / "models/bce/weights.pth") == reference


def wait_until_free(lock, seconds=10):
    """The training that held the lock has died with dvc, and is not an orphan."""
    with lock.open("a") as file:
        for _ in range(seconds * 20):
            try:
                return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.05)
    raise AssertionError(f"{lock} is still held: the training outlived dvc")


def run_stage(project, *arguments):
    """Run a stage that must fail; returns its last line."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=project,
        env=environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stderr.strip().splitlines()[-1]


def test_a_misspelt_key_stops_the_repro_before_any_work(project):
    edit(project, "params.yaml", "warmup_iters", "warmup_iter")
    output = dvc(project, "repro", ok=False)
    assert "unknown key train.warmup_iter in params.yaml; did you mean 'warmup_iters'?" in output
    assert stages_run(output) == set()
    edit(project, "params.yaml", "warmup_iter", "warmup_iters")


@pytest.fixture
def copy(project, tmp_path, monkeypatch):
    """The finished project, to be damaged; it is the current folder."""
    hidden = shutil.ignore_patterns(".dvc", ".git", ".checkpoints")
    monkeypatch.chdir(shutil.copytree(project, tmp_path / "copy", ignore=hidden))
    return Path.cwd()


def refusal(stage, method):
    """The line that a stage, run in this process, would end with."""
    with pytest.raises((ValueError, OSError)) as caught:
        stage(method)
    return explain(caught.value)


def test_failures_are_one_line_with_the_remedy(copy):
    assert "unknown method of train_representation 'bacl'" in run_stage(
        copy, "stages.train_representation", "bacl"
    )
    (copy / "data/symbols/images/val/000001.png").unlink()
    assert "000001.png" in run_stage(copy, "stages.predict", "bce")
    (copy / "data/symbols/images/val/000001.png").write_text("not a picture")
    assert "000001.png" in refusal(predict, "bce")
    edit(copy, "data/symbols/categories.csv", "\n1,", "\n1,Renamed ")
    assert "Renamed" in refusal(train_classifier, "bacl")
    shutil.rmtree(copy / "models/bce")
    message = refusal(train_classifier, "bacl")
    assert "models/bce/weights.pth is missing" in message
    assert "dvc repro train_representation@bce" in message
    index = copy / "data/symbols/index/train/instances.npy"
    index.write_bytes(index.read_bytes()[:5000])
    message = refusal(train_representation, "bce")
    assert "index/train" in message
    assert "dvc repro -f prepare" in message
    assert not list((copy / "models").glob(".*"))


def test_a_diverging_training_stops_with_its_cause(copy):
    edit(copy, "params.yaml", "learning_rate: 0.02", "learning_rate: 1.0e+9")
    assert "lower train.learning_rate" in refusal(train_representation, "bce")


def test_a_wrong_key_stops_before_dvc_touches_the_data(project, tmp_path):
    """DVC empties an output before its stage runs, so `check` must come first for every target."""
    copy = tmp_path / "copy"
    shutil.copytree(project, copy, ignore=shutil.ignore_patterns(".checkpoints"))
    edit(copy, "params.yaml", "train_images", "train_imges")
    assert "train_imges" in dvc(copy, "repro", "prepare", ok=False)
    assert len(list((copy / "data/symbols/images/train").glob("*.png"))) == IMAGES
