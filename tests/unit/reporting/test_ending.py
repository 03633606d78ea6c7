"""What a run ends with: the table, on any terminal, and the places."""

import json
import shutil
from pathlib import Path

import pytest

from pipeline.params import load
from pipeline.reporting.ending import ending
from pipeline.tables.one_line import in_one_line
from pipeline.tracking.where import where

LOOK = ["cd /here && mlflow ui", "http://127.0.0.1:5000/#/x"]


@pytest.fixture
def project(root, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shutil.copy(root / "params.yaml", tmp_path)
    for method, ap in (("softmax", 0.4457), ("bce", 0.3277), ("bacl", 0.4622)):
        write(tmp_path, method, {"AP": ap, "APr": ap / 2, "APc": None, "APf": 1.0})
    (tmp_path / "reports/index.html").write_text("")
    return tmp_path


def write(project, method, metrics):
    path = project / f"reports/metrics/{method}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(metrics if isinstance(metrics, str) else json.dumps(metrics))


def told(project, home=None, **rest):
    params = load(project / "params.yaml")
    return ending(params, project, home or project, LOOK, **rest).splitlines()


def test_a_table_and_the_places(project):
    assert told(project) == [
        "Box AP in percent on symbols, seed 0:",
        "           AP   APr   APc    APf  AP against softmax",
        "softmax  44.6  22.3  none  100.0",
        "bce      32.8  16.4  none  100.0               -11.8",
        "bacl     46.2  23.1  none  100.0                +1.7",
        "",
        f"report  {project}/reports/index.html",
        f"        {(project / 'reports/index.html').as_uri()}",
        "MLflow  cd /here && mlflow ui",
        "        http://127.0.0.1:5000/#/x",
    ]


def test_a_narrow_terminal_gets_a_line_a_number(project, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    lines = told(project)
    assert lines[1:6] == ["softmax", "  AP 44.6", "  APr 22.3", "  APc none", "  APf 100.0"]
    assert lines[11] == "  AP against softmax -11.8"


def test_masks_have_a_table_of_their_own(project):
    write(project, "bacl", {"AP": 0.4, "segm/AP": 0.3, "segm/APr": 0.1, "segm/APc": None})
    lines = told(project)
    start = lines.index("Mask AP in percent on symbols, seed 0:")
    assert lines[start + 4] == "bacl     30.0  10.0  none    -                   -"


def test_what_was_not_evaluated_or_is_damaged_is_a_dash(project):
    write(project, "bce", '{"AP": 0.3')
    (project / "reports/metrics/bacl.json").unlink()
    assert [line.split() for line in told(project)[3:5]] == [
        ["bce", "-", "-", "-", "-", "-"],
        ["bacl", "-", "-", "-", "-", "-"],
    ]


def test_simcals_groups_are_written_in_ascii(project):
    path = project / "params.yaml"
    text = path.read_text().replace("baseline: softmax}", "baseline: softmax, grouping: simcal}")
    path.write_text(text)
    write(project, "bacl", {"AP": 0.4, "simcal/AP1": 0.125, "simcal/AP4": None})
    lines = told(project)
    assert "  AP [1,20) 12.5" in lines and "  AP [8000,inf) none" in lines
    assert "\n".join(lines).isascii()


def test_one_method_is_compared_with_nothing(project):
    path = project / "params.yaml"
    path.write_text(path.read_text().replace("[softmax, bce, bacl]", "[softmax]"))
    assert told(project)[1:3] == [
        "           AP   APr   APc    APf",
        "softmax  44.6  22.3  none  100.0",
    ]


def test_a_copy_that_will_be_gone_is_not_named(project, tmp_path):
    lines = told(project, home=Path("/home/me/project"), experiment="shy-fox")
    (line,) = [line for line in lines if line.startswith("report")]
    assert "`dvc exp apply shy-fox` in /home/me/project" in line
    assert str(project) not in "\n".join(lines)


def test_without_a_report_the_command_that_makes_it(project):
    (project / "reports/index.html").unlink()
    assert "report  none yet: `dvc repro report`" in told(project)


def test_an_evaluation_in_one_line():
    metrics = {"AP": 0.4457, "APr": None, "APc": 0.5, "APf": 0.25}
    boxes = "bacl: AP 44.6, APr none, APc 50.0, APf 25.0"
    assert in_one_line("bacl", metrics, "lvis") == f"{boxes} (percent)"
    metrics |= {f"segm/{key}": value for key, value in metrics.items()}
    masks = "mask AP 44.6, mask APr none, mask APc 50.0, mask APf 25.0"
    assert in_one_line("bacl", metrics, "lvis") == f"{boxes}, {masks} (percent)"


@pytest.mark.parametrize(
    ("uri", "command", "address"),
    [
        ("sqlite:////a b/mlflow.db", "cd '/a b' && mlflow ui", "http://127.0.0.1:5000"),
        (
            "sqlite:////a b/runs.db",
            "mlflow ui --backend-store-uri 'sqlite:////a b/runs.db'",
            "http://127.0.0.1:5000",
        ),
        ("http://me:secret@host:5000/", "", "http://host:5000"),
    ],
)
def test_how_to_look_at_the_mirror(uri, command, address):
    found = where(uri, Path("/a b"), "7")
    assert found.command == command
    assert found.address.startswith(f"{address}/#/experiments/7/runs?")
    assert where(uri, Path("/a b"), None).address == address
