"""What `dvc metrics diff`, `dvc plots diff` and `dvc exp show` tell of two commits with reports."""

import csv
import io
import json
import shutil
import subprocess
import sys

import pytest
from report_project import make_project

from pipeline.params import load
from pipeline.reporting.report import build

PLOTS = ("AP by frequency", "AP against training images", "Training loss")
WHO = ("-c", "user.name=test", "-c", "user.email=none")


def run(folder, *command):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def dvc(folder, *arguments):
    return run(folder, sys.executable, "-m", "dvc", *arguments)


@pytest.fixture(scope="module")
def project(root, tmp_path_factory):
    """A repository with a report, and a second one of it in which bacl's APr is 0.9."""
    folder = tmp_path_factory.mktemp("project")
    make_project(folder)
    shutil.copy(root / "dvc.yaml", folder)
    run(folder, "git", "init", "-q")
    dvc(folder, "init", "-q")
    shutil.copytree(root / ".dvc" / "plots", folder / ".dvc" / "plots", dirs_exist_ok=True)
    for apr in (None, 0.9):
        path = folder / "reports" / "metrics" / "bacl.json"
        metrics = json.loads(path.read_text())
        path.write_text(json.dumps(metrics | {"APr": apr or metrics["APr"]}))
        build(load(folder / "params.yaml"), folder)
        (folder / "changed").write_text(str(apr))
        run(folder, "git", "add", "-A")
        run(folder, "git", *WHO, "commit", "-qm", f"APr {apr}")
    return folder


def test_metrics_diff_has_a_line_for_each_changed_ap_and_no_other(project):
    found = json.loads(dvc(project, "metrics", "diff", "--json", "HEAD~1", "HEAD"))
    changed = found["reports/summary.json"]
    assert list(changed) == ["bacl.APr"]
    assert changed["bacl.APr"]["new"] == 90


def test_exp_show_has_four_columns_a_method(project):
    header = next(csv.reader(io.StringIO(dvc(project, "exp", "show", "--csv"))))
    for method in ("softmax", "bce", "bacl"):
        columns = [name for name in header if name.startswith(f"{method}.")]
        assert columns == [f"{method}.{key}" for key in ("AP", "APr", "APc", "APf")]


def test_plots_diff_shows_both_revisions_in_every_plot(project):
    found = json.loads(dvc(project, "plots", "diff", "--json", "HEAD~1", "HEAD"))
    assert not found.get("errors")
    assert set(found["data"]) == set(PLOTS)
    for name in PLOTS:
        (plot,) = found["data"][name]
        assert set(plot["revisions"]) == {"HEAD~1", "HEAD"}
        text = json.dumps(plot["content"])
        assert "DVC_METRIC" not in text, "every anchor of the template is filled"
        points = plot["content"]["data"]["values"]
        assert {p["method"] for p in points} == {"softmax", "bce", "bacl"}
        assert {p["rev"] for p in points} == {"HEAD~1", "HEAD"}
    rare = {
        (p["rev"], p["method"]): p["AP"]
        for p in found["data"][PLOTS[0]][0]["content"]["data"]["values"]
        if p["group"] == "rare"
    }
    assert rare["HEAD", "bacl"] == "90.0" != rare["HEAD~1", "bacl"]
