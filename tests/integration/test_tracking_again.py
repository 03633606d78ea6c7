"""The mirror called again: after another training, a kill, a loss; and two that share a store."""

import shutil
import time
from pathlib import Path

import pytest
from mirroring import (
    BUSY,
    RUNS,
    assert_gap_is_filled,
    child,
    database,
    edit_params,
    finish,
    losses,
    parents,
    runs_of,
    start_command,
    state_of,
    sync,
    write_folder,
)
from mlflow.entities import ViewType
from mlflow.tracking import MlflowClient
from tracking_project import scalars, write, write_project, write_training

from pipeline.tracking import background


@pytest.fixture
def project(tmp_path, root, monkeypatch):
    """A folder as a finished pipeline leaves it."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    write_project(tmp_path, root)
    return tmp_path


def test_a_second_training_of_a_configuration_is_a_second_parent(project):
    """As another person's on a shared server: the first one keeps its curves and its AP."""
    sync(project)
    write_training(project, "bacl", scalars(range(1, 11), loss=9.0))
    write(project / "reports/metrics/bacl.json", '{"AP": 0.7}')
    for _ in range(2):
        sync(project, force=True)
    client, runs = runs_of(database(project))
    assert len(runs) == 2 * RUNS
    found = {run.data.metrics["bacl/AP"]: losses(client, runs, run) for run in parents(runs)}
    assert found == {30.0: [2.0] * 20, 70.0: [9.0] * 10}


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
    assert state_of(first) == [("FINISHED", 30.0), ("RUNNING", None)]
    assert sync(first, force=True)[1] == ""
    assert state_of(first) == [("FINISHED", 30.0), ("RUNNING", None)]


def test_a_sync_in_the_middle_of_training_anew_keeps_what_was(project):
    sync(project)
    shutil.rmtree(project / "models/bacl")
    (project / "reports/metrics/bacl.json").unlink()
    sync(project)
    assert state_of(project) == [("FINISHED", 30.0), ("RUNNING", None)]
    write_training(project, "bacl", scalars(range(1, 11), loss=9.0))
    write(project / "reports/metrics/bacl.json", '{"AP": 0.7}')
    sync(project)
    assert state_of(project) == [("FINISHED", 30.0), ("FINISHED", 70.0)]


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
    evaluated = child(runs, "evaluate@bacl").data.metrics
    assert parent.data.metrics["bacl/AP"] == evaluated["AP"] == 40.0
    assert losses(client, runs, parent) == [2.0] * 20
    assert "APr" not in evaluated
    assert "bacl/APr" not in parent.data.metrics
    assert len(runs) == RUNS


@pytest.mark.parametrize("requests", [3, 7, 20])
@pytest.mark.parametrize("lost", [False, True], ids=["new", "a value is gone"])
def test_a_mirror_that_never_gets_far_at_once_still_arrives(project, monkeypatch, requests, lost):
    """As on a slow server: it goes on with the runs that it made the last time, and makes no second
    ones."""
    if lost:
        sync(project)
        write(project / "reports/metrics/bacl.json", '{"APr": 0.2}')
    left = [0]

    def limited(write):
        original = getattr(MlflowClient, write)

        def call(*arguments, **options):
            left[0] -= 1
            if left[0] < 0:
                raise OSError("the server is slow")
            return original(*arguments, **options)

        return call

    for name in ("create_run", "log_batch", "log_inputs", "set_terminated", "log_artifact"):
        monkeypatch.setattr(MlflowClient, name, limited(name))
    for _ in range(60):
        left[0] = requests
        if sync(project, force=True)[1] == "":
            break
    else:
        pytest.fail("it does not arrive")
    client, runs = runs_of(database(project))
    assert len(runs) == len({run.data.tags.get("stage") for run in runs}) == RUNS
    (parent,) = parents(runs)
    assert (parent.info.status, "bacl/AP" in parent.data.metrics) == ("FINISHED", not lost)
    replaced = client.search_runs(["1"], run_view_type=ViewType.DELETED_ONLY)
    assert len(replaced) <= (RUNS if lost else 0)  # at least the parent and the evaluation


def test_runs_that_were_made_twice_become_one(project):
    """As by a request that a stopped server takes up after the client has given up."""
    sync(project)
    client, runs = runs_of(database(project))
    for run in (parents(runs)[0], child(runs, "evaluate@bce")):
        client.create_run(run.info.experiment_id, run.info.start_time, run.data.tags)
    sync(project, force=True)
    _, merged = runs_of(database(project))
    assert {run.info.run_id for run in merged} == {run.info.run_id for run in runs}


def test_runs_that_were_deleted_by_hand_come_out_of_the_bin(project):
    sync(project)
    client, runs = runs_of(database(project))
    for run in (parents(runs)[0], child(runs, "evaluate@bce")):
        client.delete_run(run.info.run_id)
    assert len(runs_of(database(project))[1]) == 7
    sync(project, force=True)
    _, again = runs_of(database(project))
    assert {run.info.run_id for run in again} == {run.info.run_id for run in runs}


def test_a_database_that_is_gone_is_made_again(project):
    sync(project)
    (project / "mlflow.db").unlink()
    assert_gap_is_filled(project, database(project), "bacl")


def test_files_that_were_deleted_are_uploaded_again(project):
    sync(project)
    shutil.rmtree(project / "mlartifacts")
    sync(project, force=True)
    client, runs = runs_of(database(project))
    artifacts = {a.path for a in client.list_artifacts(parents(runs)[0].info.run_id)}
    assert {"params.yaml", "reports"} <= artifacts


@pytest.fixture
def old(tmp_path):
    """A mirrored project, in a folder whose name is another one in an address."""
    folder = write_folder(tmp_path / "old #1 ü")
    write_project(folder, background.CODE)
    for method in ("softmax", "bce", "bacl"):
        write(folder / f"models/{method}/weights.pth", f"weights of {method}")
        write(folder / f"models/{method}/config.py", "model = dict(roi_head=dict(type='x'))\n")
    assert sync(folder)[1] == ""
    return folder


def test_a_project_that_was_moved_keeps_all_its_runs_and_files(old, tmp_path):
    before = runs_of(database(old))[1]
    new = old.rename(tmp_path / "new")
    assert finish(start_command(new))[1] == ""
    assert not old.exists()
    client, runs = runs_of(database(new))
    assert [run.info.run_id for run in runs] == [run.info.run_id for run in before]
    check_all_files_are_in(new, client, runs)


def check_all_files_are_in(project, client, runs):
    home = (project / "mlartifacts").as_uri()
    places = [run.info.artifact_uri for run in runs]
    places += [model.artifact_location for model in client.search_logged_models(["1"])]
    places += [version.source for version in client.search_model_versions()]
    assert all(place.startswith(f"{home}/") for place in places), places
    assert len(places) == RUNS + 3 + 3
    report = client.download_artifacts(parents(runs)[0].info.run_id, "reports/index.html")
    assert "<h1>AP</h1>" in Path(report).read_text()


def test_a_copy_of_a_project_writes_into_its_own_folder(old, tmp_path):
    copy = shutil.copytree(old, tmp_path / "copy")
    before = listing(old)
    edit_params(copy, "alpha: 0.85", "alpha: 0.5")
    write(copy / "models/bacl/weights.pth", "others")
    write(copy / "reports/metrics/bacl.json", '{"AP": 0.7}')
    assert finish(start_command(copy))[1] == ""
    assert listing(old) == before
    client, runs = runs_of(database(copy))
    assert len(parents(runs)) == 2
    places = {run.info.artifact_uri for run in runs}
    places |= {version.source for version in client.search_model_versions()}
    assert all(place.startswith((copy / "mlartifacts").as_uri()) for place in places)


def test_a_copy_with_a_folder_of_its_own_name_for_files(old, tmp_path):
    edit_params(old, "experiment: bacl", "experiment: named, artifacts: kept/files")
    assert sync(old)[1] == ""
    copy = shutil.copytree(old, tmp_path / "copy")
    before = listing(old)
    edit_params(copy, "alpha: 0.85", "alpha: 0.5")
    assert finish(start_command(copy))[1] == ""
    assert listing(old) == before
    _, runs = runs_of(database(copy), "named")
    home = (copy / "kept/files").as_uri()
    assert {run.info.artifact_uri.startswith(f"{home}/") for run in runs} == {True}


def test_an_empty_file_for_a_database_breaks_nothing(project):
    write(project / "mlflow.db", "")
    (project / "mlartifacts").mkdir()
    assert sync(project)[1] == ""


def listing(project):
    files = [path for path in project.rglob("*") if path.is_file() and path.name != "mlflow.db"]
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_a_database_that_was_copied_without_its_files_is_told(old, tmp_path):
    copy = shutil.copytree(old, tmp_path / "copy", ignore=shutil.ignore_patterns("mlartifacts"))
    before = listing(old)
    _, err = sync(copy, force=True)
    assert "which is another project's; if this project was moved or copied, remove its" in err
    assert listing(old) == before
    (copy / "mlflow.db").unlink()
    assert finish(start_command(copy))[1] == ""  # this process still has the old file open
    assert listing(old) == before


def test_a_store_that_params_yaml_names_is_used_by_a_copy_too(old, tmp_path):
    place = write_folder(tmp_path / "shared")
    edit_params(old, "experiment: bacl", f"experiment: named, artifacts: '{place}'")
    assert sync(old)[1] == ""
    shutil.rmtree(old / "mlartifacts")
    copy = shutil.copytree(old, tmp_path / "copy")
    edit_params(copy, "alpha: 0.85", "alpha: 0.5")
    assert finish(start_command(copy))[1] == ""
    _, runs = runs_of(database(copy), "named")
    assert {run.info.artifact_uri.startswith(place.as_uri()) for run in runs} == {True}
    assert not (copy / "mlartifacts").exists()


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
