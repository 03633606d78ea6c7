"""An ablation of three members, killed in the middle and called again; real experiments of DVC."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipeline import presets
from pipeline.compute.signals import PREEMPTED

GRID = """
set: ["report.methods=[bce,bacl]", report.baseline=bce, ~representation.softmax]
members:
  broken: [+detector.weights=/missing.pth]
  margin: [classifier.bacl.loss.weight=false, ~classifier.bacl.features]
  all: []
"""
SIZES = {
    "gpus: auto": "gpus: 0",
    "train_images: 120": "train_images: 24",
    "epochs: 2\n    weight_decay": "epochs: 6\n    weight_decay",
    "tracking: {uri: sqlite, experiment: smoke}": "tracking: {enabled: false}",
}


@pytest.fixture
def project(root, tmp_path, monkeypatch):
    monkeypatch.chdir(root)
    folder = tmp_path / "project"
    presets.copy("smoke", folder)
    text = (folder / "params.yaml").read_text(encoding="utf-8")
    for old, new in SIZES.items():  # not committed: DVC stashes this while a member starts
        assert old in text
        text = text.replace(old, new)
    (folder / "params.yaml").write_text(text, encoding="utf-8")
    (folder / "parts.yaml").write_text(GRID, encoding="utf-8")
    return folder


def environment():
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    who = [f"GIT_{role}_{what}" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]
    return {**os.environ, **dict.fromkeys(who, "tests"), "PATH": path, "OMP_NUM_THREADS": "1"}


def ablation(project, *options):
    command = [sys.executable, "-m", "pipeline.ablation", "parts.yaml", *options]
    return subprocess.Popen(
        command, cwd=project, env=environment(), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def processes(project):
    """Everything that works in the project or in a copy that DVC has made inside it."""
    found = []
    for process in psutil.process_iter():
        try:
            inside = Path(process.cwd()).is_relative_to(project)
        except psutil.Error:
            continue
        if inside and process.status() != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def wait_for(condition, seconds=240):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def run(project, *command):
    done = subprocess.run(
        command, cwd=project, env=environment(), capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_killed_in_the_middle_and_called_again(project):
    before = (project / "params.yaml").read_bytes()
    command = ablation(project, "--workers", "2")
    try:
        wait_for(lambda: any((project / ".checkpoints").glob("bce-*/*.pth")))
        command.send_signal(signal.SIGKILL)
        command.communicate()
        wait_for(lambda: not processes(project))
        assert (project / "params.yaml").read_bytes() == before
        assert not list((project / ".dvc/tmp/exps/standalone").glob("tmp*"))

        command = ablation(project, "--workers", "2")
        output = command.communicate(timeout=600)[0]
        assert command.returncode == 1, output
    finally:
        command.kill()
        command.communicate()
    assert not processes(project)
    assert (project / "params.yaml").read_bytes() == before
    check_members(project, output)
    check_table(project, output)
    check_experiments(project)


@pytest.mark.parametrize(
    ("number", "seconds"),
    [(signal.SIGKILL, 0.0), (signal.SIGINT, 1.0), (signal.SIGTERM, 2.0), (signal.SIGKILL, 3.0)],
)
def test_stopped_while_dvc_has_the_users_changes_stashed(project, number, seconds):
    before = (project / "params.yaml").read_bytes()
    command = ablation(project)
    try:
        wait_for((project / ".ablations/params.yaml.before").exists)
        time.sleep(seconds)
        command.send_signal(number)
        command.communicate(timeout=240)
    finally:
        command.kill()
    assert command.returncode == (-number if number == signal.SIGKILL else PREEMPTED)
    wait_for(lambda: not processes(project))
    assert (project / "params.yaml").read_bytes() == before
    assert run(project, "git", "stash", "list") == ""
    assert not list((project / ".dvc/tmp/exps/standalone").glob("tmp*"))


def check_members(project, output):
    logs = project / ".ablations" / "parts"
    assert "missing.pth" in (logs / "broken.log").read_text()
    assert "missing.pth" in output
    assert "(see .ablations/parts/broken.log)" in output
    text = "".join((logs / f"{name}.log").read_text() for name in ("margin", "all"))
    assert text.count("resuming bce from") == 1  # one trained it, the other waited
    listed = run(project, sys.executable, "-m", "pipeline.ablation", "parts.yaml", "--list")
    assert [line.split()[:2] for line in listed.splitlines()] == [
        ["broken", "waiting"],
        ["margin", "done"],
        ["all", "done"],
    ]


def check_table(project, output):
    folder = project / "reports" / "comparisons" / "parts"
    with (folder / "table.csv").open() as file:
        rows = {row["row"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["margin", "all"]
    assert (folder / "table.md").read_text() in output
    assert "parts-margin-" in (folder / "index.html").read_text()
    for member, row in rows.items():
        reference = run(project, "git", "for-each-ref", "--format=%(refname)", "refs/exps")
        own = next(line for line in reference.split() if f"/parts-{member}-" in line)
        found = json.loads(run(project, "git", "show", f"{own}:reports/metrics/bacl.json"))
        assert float(row["AP"]) == pytest.approx(100 * found["AP"])


def check_experiments(project):
    shown = run(project, "dvc", "exp", "show", "--csv")
    assert "parts-all-" in shown
    name = next(word for word in shown.replace("\n", ",").split(",") if "parts-margin-" in word)
    run(project, "dvc", "exp", "apply", name)
    assert "weight: false" in (project / "params.yaml").read_text()
    assert (project / "models/bacl/weights.pth").is_file()
