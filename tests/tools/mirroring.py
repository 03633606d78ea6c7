"""Mirrors a project of tracking_project.py, and looks at what MLflow then has."""

import contextlib
import io
import os
import subprocess
import sys
import time

import quick_tables  # noqa: F401
from mlflow.tracking import MlflowClient

from pipeline.tracking import background
from pipeline.tracking import sync as tracking_sync

# Seconds. Without our limits the client waits for 4 minutes and more; the machine may be busy.
BUSY = 60
RUNS = 9
INCOMPLETE = "the MLflow mirror is incomplete\n"


def sync(project, **options):
    """(stdout, stderr) of a sync in this process, which has imported mlflow already."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(err):
        print(tracking_sync.sync(project, **options), file=out)
    return out.getvalue(), err.getvalue()


def start_command(project):
    command = [sys.executable, "-m", "pipeline.tracking", "sync", "--root", str(project)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=background.CODE, stdout=pipe, stderr=pipe)


def start_track_stage(project, **variables):
    pipe = subprocess.PIPE
    return subprocess.Popen(
        [sys.executable, "-m", "stages.track"],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(background.CODE)} | variables,
        stdout=pipe,
        stderr=pipe,
    )


def finish(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err.decode()
    return out.decode(), err.decode()


def timed_command(project, start_command=start_command):
    start = time.monotonic()
    out, err = finish(start_command(project))
    return out, err, time.monotonic() - start


def runs_of(uri, experiment="bacl"):
    client = MlflowClient(tracking_uri=uri)
    ids = [client.get_experiment_by_name(experiment).experiment_id]
    return client, client.search_runs(ids)


def database(project):
    return f"sqlite:///{project}/mlflow.db"


def parents(runs):
    return [run for run in runs if run.data.tags["kind"] == "pipeline"]


def child(runs, stage):
    (found,) = [run for run in runs if run.data.tags.get("stage") == stage]
    return found


def losses(client, runs, parent):
    own = [r for r in runs if r.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    history = client.get_metric_history(child(own, "train_classifier@bacl").info.run_id, "loss")
    return [point.value for point in history]


def state_of(project):
    found = parents(runs_of(database(project))[1])
    return sorted((run.info.status, run.data.metrics.get("bacl/AP")) for run in found)


def edit_params(project, old, new):
    text = (project / "params.yaml").read_text()
    assert old in text
    (project / "params.yaml").write_text(text.replace(old, new))


def use_server(project, uri, experiment):
    edit_params(project, "uri: sqlite, experiment: bacl", f"uri: '{uri}', experiment: {experiment}")


def assert_one_warning(err, uri, words=""):
    assert err.startswith(f"warning: MLflow at {uri} {words}"), err
    assert err.count("\n") == 1, err
    assert "`python -m pipeline.tracking sync` tries again" in err


def assert_gap_is_filled(project, uri, experiment, **options):
    """By a sync later on: every run once, with all its points and files."""
    assert sync(project, **options)[1] == ""
    client, runs = runs_of(uri, experiment)
    names = [run.data.tags.get("stage", "pipeline") for run in runs]
    assert len(names) == len(set(names)) == 9
    assert {run.info.status for run in runs} == {"FINISHED"}
    for stage in ("train_representation@bce", "train_classifier@bacl"):
        run_id = child(runs, stage).info.run_id
        assert len(client.get_metric_history(run_id, "loss")) == 20
        assert [artifact.path for artifact in client.list_artifacts(run_id)] == ["config.py"]
    assert parents(runs)[0].data.metrics["bacl/AP"] == 30.0


def write_folder(folder):
    folder.mkdir()
    return folder
