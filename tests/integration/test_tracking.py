"""The mirror against a real SQLite store and a real MLflow server."""

import base64
import contextlib
import hashlib
import http.server
import io
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import ClassVar

import mlflow
import pytest
from mlflow.tracking import MlflowClient
from tracking_project import Server, free_port, scalars, write, write_project, write_training

from pipeline import params as params_file
from pipeline.tracking import background, configuration, server
from pipeline.tracking import sync as tracking_sync

# Seconds. Without our limits the client waits for 4 minutes and more; the machine may be busy.
BUSY = 60
RUNS = 9
INCOMPLETE = "the MLflow mirror is incomplete\n"


@pytest.fixture
def project(tmp_path, root, monkeypatch):
    """A folder as a finished pipeline leaves it."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    write_project(tmp_path, root)
    return tmp_path


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


def edit_params(project, old, new):
    text = (project / "params.yaml").read_text()
    assert old in text
    (project / "params.yaml").write_text(text.replace(old, new))


def test_one_parent_with_the_headline_and_a_child_per_stage(project):
    out, err = finish(start_command(project))
    assert out.startswith("mirrored 1 pipeline run and 8 stage runs")
    assert "http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning" in out
    assert err == ""
    client, runs = runs_of(database(project))
    (parent,) = parents(runs)
    assert parent.info.status == "FINISHED"
    assert parent.data.metrics["AP"] == parent.data.metrics["bacl/AP"] == 0.3
    assert parent.data.metrics["softmax/APr"] == 0.05
    assert parent.data.metrics["simcal/AP1"] == 3 / 40
    assert parent.data.metrics["segm/fixed/simcal/AP4"] == 0.5
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
    assert out == "the MLflow mirror is up to date\n"
    assert "pipeline.tracking.sync" in err and "mlflow" not in err  # its import takes seconds
    write_training(project, "bacl", scalars(range(1, 1502)))
    (project / ".mlflow-mirror.json").unlink()
    sync(project)
    client, runs = runs_of(database(project))
    assert len(runs) == 9
    for method, points in {"train_representation@bce": 20, "train_classifier@bacl": 1501}.items():
        run_id = child(runs, method).info.run_id
        assert len(client.get_metric_history(run_id, "loss")) == points


def test_a_second_training_of_a_configuration_is_a_second_parent(project):
    """As another person's on a shared server: the first one keeps its curves and its AP."""
    sync(project)
    write_training(project, "bacl", scalars(range(1, 11), loss=9.0))
    write(project / "reports/metrics/bacl.json", '{"AP": 0.7}')
    for _ in range(2):
        sync(project, force=True)
    client, runs = runs_of(database(project))
    assert len(runs) == 2 * RUNS
    found = {parent.data.metrics["AP"]: losses(client, runs, parent) for parent in parents(runs)}
    assert found == {0.3: [2.0] * 20, 0.7: [9.0] * 10}


def losses(client, runs, parent):
    own = [r for r in runs if r.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    history = client.get_metric_history(child(own, "train_classifier@bacl").info.run_id, "loss")
    return [point.value for point in history]


def test_a_training_that_broke_off_and_started_anew_leaves_nothing_behind(project):
    shutil.rmtree(project / "models/bacl")
    (project / "reports/metrics/bacl.json").unlink()
    running = project / ".checkpoints/scalars.jsonl"
    write(running, scalars(range(1, 11)))
    sync(project, running={"bacl": running}, live=True)
    write(running, scalars(range(1, 6), loss=9.0))
    sync(project, running={"bacl": running}, live=True)
    client, runs = runs_of(database(project))
    (parent,) = parents(runs)
    assert {r.data.tags.get("mlflow.parentRunId") for r in runs} == {None, parent.info.run_id}
    assert losses(client, runs, parent) == [9.0] * 5


@pytest.fixture
def two(project, tmp_path, root):
    """Two checkouts that run the same configuration on one store, the second one just begun."""
    other = write_folder(tmp_path / "other")
    write_project(other, root)
    edit_params(other, "uri: sqlite", f"uri: '{database(project)}'")
    for path in ("models/softmax", "models/bce", "models/bacl", "reports"):
        shutil.rmtree(other / path)
    return project, other


def live(project, *losses):
    """Of a training of bce whose every step had these losses."""
    running = project / ".checkpoints/scalars.jsonl"
    write(running, "".join(scalars([n], loss) for n, loss in enumerate(losses, 1)))
    assert sync(project, running={"bce": running}, live=True)[1] == ""


def test_two_that_train_one_configuration_at_once_do_not_disturb_each_other(two):
    first, second = two
    for path in ("models/bce", "models/bacl", "reports"):
        shutil.rmtree(first / path)
    for steps in (1, 2, 3):
        live(first, *[1.0] * steps)
        live(second, *[2.0] * steps)
    client, runs = runs_of(database(first))
    assert len(parents(runs)) == 2
    trained = [run for run in runs if run.data.tags.get("stage") == "train_representation@bce"]
    histories = [client.get_metric_history(run.info.run_id, "loss") for run in trained]
    found = [[point.value for point in history] for history in histories]
    assert sorted(found) == [[1.0] * 3, [2.0] * 3]


def test_one_that_has_only_begun_leaves_a_finished_one_alone(two):
    first, second = two
    sync(first)
    assert sync(second)[1] == ""
    assert state_of(first) == [("FINISHED", 0.3), ("RUNNING", None)]
    assert sync(first, force=True)[1] == ""
    assert state_of(first) == [("FINISHED", 0.3), ("RUNNING", None)]


def state_of(project):
    found = parents(runs_of(database(project))[1])
    return sorted((run.info.status, run.data.metrics.get("AP")) for run in found)


def test_a_sync_in_the_middle_of_training_anew_keeps_what_was(project):
    sync(project)
    shutil.rmtree(project / "models/bacl")
    (project / "reports/metrics/bacl.json").unlink()
    sync(project)
    assert state_of(project) == [("FINISHED", 0.3), ("RUNNING", None)]
    write_training(project, "bacl", scalars(range(1, 11), loss=9.0))
    write(project / "reports/metrics/bacl.json", '{"AP": 0.7}')
    sync(project)
    assert state_of(project) == [("FINISHED", 0.3), ("FINISHED", 0.7)]


def test_what_a_killed_mirror_was_throwing_away_goes_with_the_next(project):
    sync(project)
    client, runs = runs_of(database(project))
    (parent,) = parents(runs)
    other = client.create_run(parent.info.experiment_id, tags=parent.data.tags)
    client.set_tag(other.info.run_id, "superseded", "true")
    sync(project, force=True)
    assert len(runs_of(database(project))[1]) == RUNS


def test_a_value_that_is_no_longer_in_the_files_leaves_mlflow_too(project):
    sync(project)
    write(project / "reports/metrics/bacl.json", '{"AP": 0.4, "APr": null}')
    sync(project)
    client, runs = runs_of(database(project))
    (parent,) = parents(runs)
    for run in (parent, child(runs, "evaluate@bacl")):
        assert run.data.metrics["AP"] == 0.4
        assert losses(client, runs, parent) == [2.0] * 20
        assert "APr" not in run.data.metrics
    assert "bacl/APr" not in parent.data.metrics
    assert len(runs) == RUNS


def test_files_that_were_deleted_are_uploaded_again(project):
    sync(project)
    shutil.rmtree(project / "mlartifacts")
    sync(project, force=True)
    client, runs = runs_of(database(project))
    artifacts = {a.path for a in client.list_artifacts(parents(runs)[0].info.run_id)}
    assert {"params.yaml", "reports"} <= artifacts


def test_a_project_that_was_moved_is_told(project, tmp_path):
    old = tmp_path / "old"
    write_project(write_folder(old), background.CODE)
    sync(old)
    new = old.rename(tmp_path / "new")
    _, err = sync(new, force=True)
    assert "which is gone; if this project has moved, remove its mlflow.db" in err
    assert not old.exists()
    (new / "mlflow.db").unlink()
    assert finish(start_command(new))[1] == ""  # this process still has the old file open


def write_folder(folder):
    folder.mkdir()
    return folder


def test_a_process_killed_while_it_makes_the_database_breaks_nothing(project):
    process = start_command(project)
    new = project / "mlflow.db.new"
    deadline = time.monotonic() + BUSY
    while not (new.is_file() and new.stat().st_size > 50_000):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.kill()
    process.communicate()
    assert not (project / "mlflow.db").exists()
    assert sync(project)[1] == ""
    assert not new.exists()
    assert len(parents(runs_of(database(project))[1])) == 1


def test_each_configuration_has_its_parent(project):
    sync(project)
    edit_params(project, "alpha: 0.85", "alpha: 0.5")
    write(project / "reports/metrics/bacl.json", '{"AP": 0.7}')
    sync(project)
    _, runs = runs_of(database(project))
    assert {(r.info.run_name, r.data.metrics["AP"]) for r in parents(runs)} == {
        ("bacl · seed 0 · symbols", 0.3),
        ("bacl, alpha 0.5 · seed 0 · symbols", 0.7),
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


@contextlib.contextmanager
def silent_server():
    """Accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@contextlib.contextmanager
def closed_port():
    yield free_port()


@pytest.mark.parametrize("trouble", [silent_server, closed_port])
def test_a_server_that_fails_costs_a_warning_and_little_time(project, trouble):
    with trouble() as port:
        edit_params(project, "uri: sqlite", f"uri: 'http://127.0.0.1:{port}'")
        _, err, seconds = timed_command(project, start_track_stage)
    assert err.count("\n") == 1
    assert err.startswith(f"warning: MLflow at http://127.0.0.1:{port} was skipped")
    assert seconds < BUSY


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


def test_mlflow_ui_in_the_project_folder_shows_what_was_mirrored(project):
    """The same server then takes the mirror over HTTP, in another experiment."""
    sync(project)
    with Server(project) as started:
        uri = started.uri
        client, runs = runs_of(uri)
        (parent,) = parents(runs)
        assert parent.data.metrics["AP"] == 0.3
        report = client.download_artifacts(parent.info.run_id, "reports/index.html")
        assert "<h1>AP</h1>" in Path(report).read_text()
        use_server(project, uri, "remote")
        for _ in range(2):
            assert sync(project, force=True)[1] == ""
        client, runs = runs_of(uri, "remote")
        assert len(runs) == 9
        run_id = child(runs, "train_representation@bce").info.run_id
        assert len(client.get_metric_history(run_id, "loss")) == 20
        artifacts = {a.path for a in client.list_artifacts(parents(runs)[0].info.run_id)}
        assert "params.yaml" in artifacts


def use_server(project, uri, experiment):
    edit_params(project, "uri: sqlite, experiment: bacl", f"uri: '{uri}', experiment: {experiment}")


@pytest.fixture(scope="module")
def far(tmp_path_factory):
    """A server that is not the project's own."""
    with Server(tmp_path_factory.mktemp("server")) as started:
        yield started


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
    assert parents(runs)[0].data.metrics["AP"] == 0.3


def test_a_server_that_hangs_in_mid_sync_costs_a_warning_and_seconds(project, far):
    use_server(project, far.uri, "hangs")
    stage = start_track_stage(project)
    far.wait_for_runs("hangs", 3)
    with far.stopped():
        start = time.monotonic()
        _, err = finish(stage)
        seconds = time.monotonic() - start
    assert_one_warning(err, far.uri)
    assert seconds < BUSY
    assert_gap_is_filled(project, far.uri, "hangs")


def test_a_slow_server_gets_a_limited_time(project, far):
    use_server(project, far.uri, "slow")
    with far.slow_after_a_run("slow"):
        start = time.monotonic()
        _, err = sync(project, seconds=3)
        seconds = time.monotonic() - start
    assert_one_warning(err, far.uri, "took longer than 3 s")
    assert seconds < BUSY
    assert_gap_is_filled(project, far.uri, "slow")


def test_a_server_killed_in_mid_sync_and_started_again(project, far):
    use_server(project, far.uri, "killed")
    stage = start_track_stage(project)
    far.wait_for_runs("killed", 3)
    far.signal(signal.SIGKILL)
    start = time.monotonic()
    far.process.wait()
    _, err = finish(stage)
    assert_one_warning(err, far.uri, "failed: ")
    assert time.monotonic() - start < BUSY
    assert_one_warning(sync(project)[1], far.uri, "was skipped: ")
    far.start()
    assert_gap_is_filled(project, far.uri, "killed")


def test_training_waits_neither_for_a_server_that_hangs_nor_for_its_mirror(project, far):
    use_server(project, far.uri, "live")
    running = project / ".checkpoints/scalars.jsonl"
    write(running, scalars(range(1, 11)))
    mirror = background.LiveMirror(project)
    mirror.start({"bacl": running})
    assert mirror.process.poll() is None  # it has not been waited for
    far.wait_for_runs("live", 3)
    with far.stopped():
        assert mirror.process.wait(timeout=BUSY) == 0
    log = (project / ".mlflow-mirror.log").read_text()
    assert_one_warning(log.replace(INCOMPLETE, ""), far.uri, "failed: ")


def test_the_stage_does_not_wait_long_for_another_mirror_of_a_far_server(project, far):
    use_server(project, far.uri, "other")
    with server.lock(far.uri, project, 0) as mine:
        assert mine
        start = time.monotonic()
        _, err = sync(project, seconds=0.5)
        assert time.monotonic() - start < BUSY
    assert err.startswith("warning: another mirror of this project is running")
    assert "`python -m pipeline.tracking sync` tries again" in err


def test_runs_that_were_made_twice_become_one(project):
    """As by a request that a stopped server takes up after the client has given up."""
    sync(project)
    client, runs = runs_of(database(project))
    for run in (parents(runs)[0], child(runs, "evaluate@bce")):
        client.create_run(run.info.experiment_id, run.info.start_time, run.data.tags)
    sync(project, force=True)
    _, merged = runs_of(database(project))
    assert {run.info.run_id for run in merged} == {run.info.run_id for run in runs}


def test_a_database_that_is_gone_is_made_again(project):
    sync(project)
    (project / "mlflow.db").unlink()
    assert_gap_is_filled(project, database(project), "bacl")


def test_a_server_that_comes_late_and_later_loses_its_database(project, tmp_path_factory):
    late = Server(tmp_path_factory.mktemp("first"))
    use_server(project, late.uri, "late")
    assert_one_warning(sync(project)[1], late.uri, "was skipped: ")
    with late:
        assert_gap_is_filled(project, late.uri, "late")
    late.folder = tmp_path_factory.mktemp("second")
    with late:  # the files have not changed, so only the command asks the server
        assert_gap_is_filled(project, late.uri, "late", force=True)


def test_runs_that_were_deleted_by_hand_come_out_of_the_bin(project):
    sync(project)
    client, runs = runs_of(database(project))
    for run in (parents(runs)[0], child(runs, "evaluate@bce")):
        client.delete_run(run.info.run_id)
    assert len(runs_of(database(project))[1]) == 7
    sync(project, force=True)
    _, again = runs_of(database(project))
    assert {run.info.run_id for run in again} == {run.info.run_id for run in runs}


METHOD = "  other{}: {{loss: {{type: bce}}, epochs: 1, milestones: [], prior: 0.01}}\n"


def test_parameters_arrive_whole_but_for_the_longest(project):
    """MLflow takes 100 in a request and 6000 characters in one."""
    milestones = list(range(1, 2001))
    edit_params(project, "epochs: 30", "epochs: 2500")
    edit_params(project, "milestones: [22, 28]", f"milestones: {milestones}")
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
        assert source["tags"]["mlflow.source.name"] == "pipeline/data/symbols.py"
        assert source["tags"]["categories"] == "60"


def file_md5(path):
    return hashlib.md5(path.read_bytes()).hexdigest()


class Quiet(http.server.BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@contextlib.contextmanager
def no_certificate(folder, wrap=lambda socket: socket):
    """A server without TLS."""
    with http.server.HTTPServer(("127.0.0.1", 0), Quiet) as web:
        web.socket = wrap(web.socket)
        threading.Thread(target=web.serve_forever, daemon=True).start()
        yield web.server_address[1]
        web.shutdown()


def unknown_certificate(folder):
    """A server that vouches for itself."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    where = ["-subj", "/CN=localhost", "-keyout", key, "-out", certificate]
    subprocess.run([*make, *where], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return no_certificate(folder, lambda socket: context.wrap_socket(socket, server_side=True))


@pytest.mark.parametrize(
    ("trouble", "words"),
    [(unknown_certificate, "CERTIFICATE_VERIFY_FAILED"), (no_certificate, "SSLError")],
)
def test_a_server_whose_tls_fails_costs_a_warning_with_the_reason(
    project, tmp_path, trouble, words
):
    with trouble(tmp_path) as port:
        uri = f"https://127.0.0.1:{port}"
        edit_params(project, "uri: sqlite", f"uri: '{uri}'")
        _, err, seconds = timed_command(project)
    assert_one_warning(err, uri, "failed: ")
    assert words in err
    assert seconds < BUSY


class Refusing(Quiet):
    """Notes who asks, and lets nobody in."""

    asked: ClassVar[list] = []

    def do_GET(self):
        self.asked.append(self.headers.get("Authorization"))
        self.send_response(401)
        self.end_headers()

    do_POST = do_GET


def test_a_password_reaches_the_server_and_no_message(project, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "secret")
    with http.server.HTTPServer(("127.0.0.1", 0), Refusing) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        place = f"127.0.0.1:{web.server_address[1]}"
        edit_params(project, "uri: sqlite", f"uri: 'http://{place}'")
        _, err = sync(project)
        web.shutdown()
    assert_one_warning(err, f"http://{place}", "failed: ")
    known = "Basic " + base64.b64encode(b"me:secret").decode()
    assert known in Refusing.asked
    assert "secret" not in err


def test_a_password_in_the_address_is_not_printed(project, far):
    place = far.uri.removeprefix("http://")
    use_server(project, f"http://me:secret@{place}", "hidden")
    stage = start_track_stage(project)
    far.wait_for_runs("hidden", 2)
    with far.stopped():
        _, err = finish(stage)
    assert "warning: MLflow at http://127" in err
    assert "secret" not in err
