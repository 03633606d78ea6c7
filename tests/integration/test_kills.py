"""The kill harness in short, and what helps where DVC itself was killed while it wrote."""

import shutil
import subprocess

import kill_harness
import pandas as pd
import pytest
import torch
from kill_checks import (
    REMEDY,
    broken_by_dvc,
    differences,
    leftovers,
    run_dvc,
    stuck_locks,
)

from pipeline.files import locked

SOFTMAX = """  softmax:
    loss: {type: cross_entropy}
    epochs: 4
    milestones: [3]
    augmentation: {flip: 0.0}
"""
LITTLE = (
    ("train_images: 120", "train_images: 40"),
    (SOFTMAX, ""),
    ("methods: [softmax, bce, bacl], baseline: softmax", "methods: [bce, bacl], baseline: bce"),
)
KILLS = 3


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    """Finished: an undisturbed run, and one with kills."""
    folder = tmp_path_factory.mktemp("kills")
    campaign = kill_harness.Campaign(folder / "work", seed=1, kills=KILLS, changes=LITTLE)
    campaign.run()
    return campaign


def test_a_pipeline_that_is_killed_again_and_again_ends_like_one_that_is_not(campaign):
    assert campaign.failed() == []
    assert len(campaign.kills) == KILLS
    assert any(kill.outcome != "went on" for kill in campaign.kills)


@pytest.mark.parametrize("lock", ["", "schema: '2.0'\nstages:\n  prepare:\n    cmd: exec py"])
def test_where_dvc_left_half_a_file_the_remedy_costs_no_training(campaign, lock):
    """DVC writes these two in place: a SIGKILL at that moment leaves them empty or cut off."""
    project = campaign.reference
    whole = (project / "dvc.lock").read_text()
    (project / "dvc.lock").write_text(lock)
    (project / ".dvc/tmp/rwlock").write_text('{"write": {' if lock else "")
    assert "rwlock" in broken_by_dvc(project)
    failed = run_dvc(project, campaign.scratch, "repro")
    assert failed.returncode
    assert "rwlock" in failed.stderr or "dvc.lock" in failed.stderr
    subprocess.run(REMEDY, shell=True, cwd=project, check=True)
    done = run_dvc(project, campaign.scratch, "repro")
    assert done.returncode == 0, done.stderr
    assert "'train_classifier@bacl' is cached" in done.stdout + done.stderr
    assert "stages.train_" not in done.stdout + done.stderr
    assert (project / "dvc.lock").read_text() == whole


def test_the_harness_sees_what_is_wrong(campaign, tmp_path):
    reference, project = campaign.reference, tmp_path / "project"
    shutil.copytree(reference, project, ignore=shutil.ignore_patterns(".git", ".dvc"))
    assert differences(reference, project) + leftovers(reference, project) == []
    weights = project / "models/bce/weights.pth"
    state = torch.load(weights, weights_only=True)
    state["backbone.conv1.weight"][0, 0, 0, 0] += 1e-6
    torch.save(state, weights)
    table = pd.read_parquet(project / "predictions/bacl.parquet")
    table.iloc[:-1].to_parquet(project / "predictions/bacl.parquet")
    (project / "reports/metrics/bce.json").unlink()
    (project / "models/.bce.ab12_xyz").mkdir()
    (project / "models/.bce.ab12_xyz/weights.pth").touch()
    assert differences(reference, project) == [
        "reports/metrics/bce.json differs",
        "models/bce/weights.pth differs",
        "predictions/bacl.parquet differs",
    ]
    assert leftovers(reference, project) == [
        "temporary file models/.bce.ab12_xyz/weights.pth is left",
        "reports/metrics/bce.json is missing",
    ]
    with locked(next((project / ".checkpoints").glob("bce-*"))):
        assert len(stuck_locks(project)) == 1
