"""What the mirror shows, in a real SQLite store."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import pytest
from mirroring import (
    BUSY,
    RUNS,
    child,
    database,
    edit_params,
    finish,
    parents,
    runs_of,
    start_command,
    start_track_stage,
    sync,
    timed_command,
)
from tracking_project import scalars, write, write_project, write_training

from pipeline import params as params_file
from pipeline.params import plain as configuration
from pipeline.tracking import background


@pytest.fixture
def project(tmp_path, root, monkeypatch):
    """A folder as a finished pipeline leaves it."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    write_project(tmp_path, root)
    return tmp_path


def test_one_parent_with_the_headline_and_a_child_per_stage(project):
    out, err = finish(start_command(project))
    assert out.startswith("mirrored 1 pipeline run and 8 stage runs")
    assert "http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning" in out
    assert err == ""
    client, runs = runs_of(database(project))
    (parent,) = parents(runs)
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["bacl/AP"] == 30.0  # percent
    assert parent.data.metrics["softmax/APr"] == 5.0
    assert parent.data.metrics["bacl/simcal/AP1"] == 7.5
    assert parent.data.metrics["bacl/segm/fixed/simcal/AP4"] == 50.0
    assert parent.data.tags["scale"] == "percent"
    assert all("/" in key for key in parent.data.metrics)  # each says whose it is
    assert child(runs, "evaluate@bacl").data.metrics["AP"] == 30.0
    assert parent.data.params["classifier.bacl.loss.alpha"] == "0.85"
    assert {d.dataset.name for d in parent.inputs.dataset_inputs} == {
        "symbols/train",
        "symbols/val",
    }
    artifacts = {a.path for a in client.list_artifacts(parent.info.run_id)}
    assert {"params.yaml", "reports"} <= artifacts
    assert parent.info.artifact_uri.startswith((project / "mlartifacts").as_uri())
    training = child(runs, "train_classifier@bacl")
    assert training.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert training.info.end_time - training.info.start_time == 2500
    assert len(client.get_metric_history(training.info.run_id, "loss")) == 20
    assert child(runs, "prepare").data.metrics["categories_rare"] == 1


def lasted(run):
    return run.info.end_time - run.info.start_time


def test_durations_are_those_of_the_trainings_however_far_apart(project):
    """Their files were written today, and the three trainings took 2.5 s each in January."""
    softmax = project / "models/softmax/environment.json"
    text = softmax.read_text()
    softmax.unlink()
    sync(project)
    write(softmax, text.replace("2026-", "2024-"))  # as from DVC's cache, older than the run
    sync(project)
    _, runs = runs_of(database(project))
    stages = {run.data.tags.get("stage", "pipeline"): lasted(run) for run in runs}
    trainings = {
        "train_representation@softmax": 2500,
        "train_representation@bce": 2500,
        "train_classifier@bacl": 2500,
    }
    assert stages == dict.fromkeys(stages, 0) | trainings | {"pipeline": 7500}


def test_again_changes_nothing_and_a_longer_training_adds_only_its_new_steps(project):
    write_training(project, "bacl", scalars(range(1, 1501)))
    sync(project)
    out, err = finish(start_track_stage(project, PYTHONPROFILEIMPORTTIME="1"))
    assert out.startswith("the MLflow mirror is up to date\n")
    assert "http://127.0.0.1:5000/#/experiments/1/runs" in out
    assert "pipeline.tracking.sync" in err and "mlflow" not in err  # its import takes seconds
    write_training(project, "bacl", scalars(range(1, 1502)))
    (project / ".mlflow-mirror.json").unlink()
    sync(project)
    client, runs = runs_of(database(project))
    assert len(runs) == 9
    for method, points in {"train_representation@bce": 20, "train_classifier@bacl": 1501}.items():
        run_id = child(runs, method).info.run_id
        assert len(client.get_metric_history(run_id, "loss")) == points


def test_the_table_and_the_places_end_a_run_also_without_mlflow(project):
    edit_params(project, "uri: sqlite", "uri: http://127.0.0.1:9")
    out, err = finish(start_track_stage(project))
    assert err.startswith("warning: MLflow at http://127.0.0.1:9 was skipped")
    assert out.splitlines()[-2] == "MLflow  http://127.0.0.1:9"
    assert "bacl 30.0 15.0 none - +20.0" in " ".join(out.split())
    edit_params(project, "uri: http://127.0.0.1:9", "enabled: false")
    out, err = finish(start_track_stage(project))
    assert err == ""
    assert out.splitlines()[-4:-1] == [
        f"report  {project}/reports/index.html",
        f"        {(project / 'reports/index.html').as_uri()}",
        "MLflow  off (tracking.enabled)",
    ]
    assert "bacl 30.0 15.0 none - +20.0" in " ".join(out.split())


def test_each_configuration_has_its_parent(project):
    sync(project)
    edit_params(project, "alpha: 0.85", "alpha: 0.5")
    write(project / "reports/metrics/bacl.json", '{"AP": 0.7}')
    sync(project)
    _, runs = runs_of(database(project))
    assert {(r.info.run_name, r.data.metrics["bacl/AP"]) for r in parents(runs)} == {
        ("bacl · seed 0 · symbols", 30.0),
        ("bacl, alpha 0.5 · seed 0 · symbols", 70.0),
    }


def test_six_cold_processes_make_one_parent(project):
    processes = [start_track_stage(project) for _ in range(6)]
    outputs = [finish(process) for process in processes]
    assert [err for _, err in outputs] == [""] * 6
    assert sum(out.startswith("mirrored") for out, _ in outputs) == 1
    _, runs = runs_of(database(project))
    assert len(parents(runs)) == 1
    assert len(runs) == 9


def test_the_live_mirror_follows_a_running_training_to_its_end(project):
    shutil.rmtree(project / "models/bacl")
    (project / "reports/index.html").unlink()
    running = project / ".checkpoints/scalars.jsonl"
    write(running, scalars(range(1, 11)) + '{"step": 11, "lo')
    mirror = background.LiveMirror(project)
    mirror.start({"bacl": running})
    first = mirror.process
    mirror.start({"bacl": running})  # too soon: must not start
    assert mirror.process is first
    first.wait(timeout=BUSY)
    client, runs = runs_of(database(project))
    live = child(runs, "train_classifier@bacl")
    assert (live.info.status, live.data.tags["last_step"]) == ("RUNNING", "10")
    write_training(project, "bacl", scalars(range(1, 21)))
    sync(project)
    _, runs = runs_of(database(project))
    ended = child(runs, "train_classifier@bacl")
    assert (ended.info.run_id, ended.info.status) == (live.info.run_id, "FINISHED")
    assert len(client.get_metric_history(ended.info.run_id, "loss")) == 20


def test_a_training_is_not_shown_under_params_that_were_edited_meanwhile(project):
    scalars = {"bacl": project / "models/bacl/scalars.jsonl"}
    same, edited = background.LiveMirror(project), background.LiveMirror(project)
    same.start(scalars)
    assert same.process.wait(timeout=BUSY) == 0
    edit_params(project, "alpha: 0.85", "alpha: 0.5")
    edited.start(scalars)
    assert edited.process is None


def test_training_does_not_import_mlflow():
    code = "import sys, pipeline.tracking.background; print('mlflow' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], cwd=background.CODE) == b"False\n"


def test_off_does_nothing(project):
    edit_params(project, "tracking: {", "tracking: {enabled: false, ")
    assert sync(project) == ("tracking is off\n", "")
    assert not (project / "mlflow.db").exists()


def test_a_run_in_a_temporary_folder_writes_to_the_real_project(project, monkeypatch, tmp_path):
    real = tmp_path / "real"
    real.mkdir()
    monkeypatch.setenv("DVC_ROOT", str(real))
    sync(project)
    assert len(parents(runs_of(database(real))[1])) == 1
    assert not (project / "mlflow.db").exists()


def test_a_database_in_a_folder_that_is_not_there_yet(project):
    edit_params(project, "uri: sqlite,", "uri: 'sqlite:///runs/mlflow.db',")
    assert sync(project)[1] == ""
    assert len(runs_of(f"sqlite:///{project}/runs/mlflow.db")[1]) == RUNS


def test_a_damaged_database_costs_a_warning_and_little_time(project):
    write(project / "mlflow.db", "this is no database, " * 100)
    _, err, seconds = timed_command(project)
    assert "file is not a database" in err
    assert seconds < BUSY


def test_a_damaged_file_is_named_and_the_rest_mirrored(project):
    write(project / "reports/metrics/bce.json", '{"AP": 0.')
    for _ in range(2):  # also the second time: nothing hides that the mirror is incomplete
        _, err = sync(project)
        assert "bce.json" in err
    _, runs = runs_of(database(project))
    assert "bacl/AP" in parents(runs)[0].data.metrics


METHOD = "  other{}: {{loss: {{type: bce}}, epochs: 1, milestones: [], prior: 0.01}}\n"


def test_parameters_arrive_whole_but_for_the_longest(project):
    """MLflow takes 100 in a request and 6000 characters in one."""
    milestones = list(range(1, 2001))
    edit_params(project, "epochs: 24", "epochs: 2500")
    edit_params(project, "milestones: [18, 22]", f"milestones: {milestones}")
    edit_params(project, "  bce: #", "".join(METHOD.format(n) for n in range(9)) + "  bce: #")
    params = params_file.load(project / "params.yaml")
    wanted = configuration.flatten(configuration.resolved(params))
    assert len(wanted) > 100
    for _ in range(2):
        assert sync(project, force=True)[1] == ""
    client, runs = runs_of(database(project))
    (parent,) = parents(runs)
    assert len(wanted["representation.softmax.milestones"]) > 6000
    assert parent.data.params == {key: value[:6000] for key, value in wanted.items()}
    whole = client.download_artifacts(parent.info.run_id, "params.yaml")
    assert str(milestones) in Path(whole).read_text()


def test_the_data_are_read_back_as_mlflow_data_sets(project):
    sync(project)
    _, runs = runs_of(database(project))
    found = {item.dataset.name: item for item in parents(runs)[0].inputs.dataset_inputs}
    for split, context in (("train", "training"), ("val", "evaluation")):
        item = found[f"symbols/{split}"]
        assert item.dataset.digest == file_md5(project / f"data/symbols/{split}.json")
        assert json.loads(item.dataset.profile) == {
            "num_rows": 1,
            "num_elements": 0,
            "categories": 2,
        }
        assert [(tag.key, tag.value) for tag in item.tags] == [("mlflow.data.context", context)]
        source = mlflow.data.get_source(item).to_dict()
        assert source["tags"]["mlflow.source.name"] == "pipeline/data/sources/symbols.py"
        assert source["tags"]["categories"] == "60"


def file_md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()
