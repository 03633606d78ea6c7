"""MLflow that others use too: what they made is neither changed, nor moved, nor written over."""

import contextlib
import shutil

import pytest
from finished_runs import git
from mirroring import (
    RUNS,
    child,
    database,
    edit_params,
    parents,
    runs_of,
    sync,
    write_folder,
)
from mlflow.entities import ViewType
from mlflow.tracking import MlflowClient
from tracking_project import Server, write, write_project

from pipeline.tracking import ownership, views

LEFT_ALONE = "was left alone: "


@pytest.fixture(scope="module")
def store(tmp_path_factory, root):
    """A database of MLflow, which takes seconds to make."""
    folder = tmp_path_factory.mktemp("store")
    write_project(folder, root)
    edit_params(folder, "experiment: bacl", "experiment: first")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DVC_ROOT", raising=False)
        sync(folder)
    return folder / "mlflow.db"


@pytest.fixture
def project(store, tmp_path, root, monkeypatch):
    """A folder as a finished pipeline leaves it, and beside it the store of everybody."""
    monkeypatch.delenv("DVC_ROOT", raising=False)
    shutil.copy(store, tmp_path)
    write_project(write_folder(tmp_path / "project"), root)
    edit_params(tmp_path / "project", "uri: sqlite", f"uri: '{database(tmp_path)}'")
    with_models(tmp_path / "project")
    return tmp_path / "project"


def with_models(folder):
    for method in ("softmax", "bce", "bacl"):
        write(folder / f"models/{method}/weights.pth", f"weights of {method}")
        write(folder / f"models/{method}/config.py", "model = dict(roi_head=dict(type='x'))\n")


def client_of(project):
    return MlflowClient(tracking_uri=database(project.parent))


def copied(project, name):
    """As a colleague's clone into which `dvc pull` brought the same files."""
    ignored = shutil.ignore_patterns(".mlflow-mirror.*")
    return shutil.copytree(project, project.with_name(name), ignore=ignored)


def everything(client, experiment):
    found = client.get_experiment_by_name(experiment)
    runs = client.search_runs([found.experiment_id], run_view_type=ViewType.ALL)
    return dict(found), {run.info.run_id: run.to_dictionary() for run in runs}


def registered(client):
    models = [dict(m) | {"aliases": m.aliases} for m in client.search_registered_models()]
    return models, [dict(version) for version in client.search_model_versions()]


def test_somebodys_registered_model_gets_no_version_and_keeps_its_alias(project):
    client = client_of(project)
    client.create_registered_model("bacl", description="my own")
    for _ in range(2):
        client.create_model_version("bacl", "s3://elsewhere/model")
    client.set_registered_model_alias("bacl", "best", "1")
    before = registered(client)
    out, err = sync(project)
    assert "the registered model bacl is not of this project" in err
    assert "set tracking.model_prefix" in err and err.count("\n") == 1
    assert "mirrored 1 pipeline run" in out
    client.delete_registered_model("softmax")
    client.delete_registered_model("bce")
    assert registered(client) == before
    edit_params(project, "experiment: bacl", "experiment: bacl, model_prefix: my-")
    assert sync(project)[1] == ""
    assert registered(client)[0][0] == before[0][0]
    assert client.get_model_version_by_alias("my-bacl", "best").tags["AP"] == "30.0"


def test_colleagues_of_one_repository_share_models_and_another_repository_has_none(project):
    client = client_of(project)
    make_repository(project, "first")
    assert sync(project)[1] == ""
    clone = clone_of(project, "clone")
    write(clone / "models/bacl/weights.pth", "better weights")
    write(clone / "models/bacl/scalars.jsonl", '{"step": 1, "loss": 1.0}\n')
    write(clone / "reports/metrics/bacl.json", '{"AP": 0.5}')
    assert sync(clone)[1] == ""
    assert client.get_model_version_by_alias("bacl", "best").version == 2
    other = copied(project, "other")
    shutil.rmtree(other / ".git")
    make_repository(other, "second")
    edit_params(other, "experiment: bacl", "experiment: theirs")
    before = registered(client)
    assert "the registered model bacl is not of this project" in sync(other)[1]
    assert registered(client) == before
    edit_params(other, "experiment: theirs", "experiment: bacl")
    runs = everything(client, "bacl")
    assert "the experiment bacl is not of this project" in sync(other)[1]
    assert everything(client, "bacl") == runs


def make_repository(folder, name):
    git(folder, "init", "--quiet", "--initial-branch", "main")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", name)


def clone_of(project, name):
    clone = copied(project, name)
    shutil.rmtree(clone / ".git")
    git(project.parent, "clone", "--quiet", "--no-checkout", str(project), f"{name}.git")
    (project.with_name(f"{name}.git") / ".git").rename(clone / ".git")
    return clone


def test_the_project_is_its_first_commit_and_unknown_in_a_shallow_clone(tmp_path):
    folder = write_folder(tmp_path / "folder")
    assert ownership.repository(folder) == ownership.UNKNOWN
    make_repository(folder, "first")
    known = ownership.repository(folder)
    assert len(known) == 16
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "second")
    git(tmp_path, "clone", "--quiet", "--depth", "1", folder.as_uri(), "shallow")
    git(tmp_path, "clone", "--quiet", folder.as_uri(), "whole")
    assert ownership.repository(tmp_path / "whole") == known
    assert ownership.repository(tmp_path / "shallow") == ownership.UNKNOWN
    assert ownership.is_ours(ownership.owner_tag(known), ownership.UNKNOWN)
    assert not ownership.is_ours(ownership.owner_tag(known), "f" * 16)
    assert not ownership.is_ours({}, known)


def test_an_alias_that_somebody_moved_stays(project):
    client = client_of(project)
    for number, ap in enumerate((0.2, 0.4), 1):
        write(project / "models/bacl/weights.pth", f"{number}")
        write(project / "reports/metrics/bacl.json", f'{{"AP": {ap}}}')
        assert sync(project)[1] == ""
    assert client.get_model_version_by_alias("bacl", "best").version == 2
    client.set_registered_model_alias("bacl", "best", "1")
    _, err = sync(project, force=True)
    assert "the alias best of bacl stays on version 1, where somebody has put it" in err
    assert client.get_model_version_by_alias("bacl", "best").version == 1
    client.delete_registered_model_alias("bacl", "best")
    assert sync(project, force=True)[1] == ""
    assert client.get_model_version_by_alias("bacl", "best").version == 2


def test_a_mirror_killed_while_it_moved_the_alias_does_not_take_it_for_a_persons(
    project, monkeypatch
):
    client = client_of(project)
    write(project / "reports/metrics/bacl.json", '{"AP": 0.2}')
    sync(project)
    write(project / "models/bacl/weights.pth", "better")
    write(project / "reports/metrics/bacl.json", '{"AP": 0.4}')
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "set_registered_model_alias", broken)
        assert "failed: " in sync(project)[1]
    assert client.get_model_version_by_alias("bacl", "best").version == 1
    assert sync(project)[1] == ""
    assert client.get_model_version_by_alias("bacl", "best").version == 2


def broken(*arguments):
    raise OSError("killed")


def test_models_of_code_from_before_the_tag_are_ours(project):
    client = client_of(project)
    sync(project)
    for tag in (ownership.OWNER, "best_by_rule"):
        client.delete_registered_model_tag("bacl", tag)
    for key, text in (("AP", "0.3"), ("scale", "")):  # as a fraction
        client.set_model_version_tag("bacl", "1", key, text)
    write(project / "models/bacl/weights.pth", "others")
    write(project / "reports/metrics/bacl.json", '{"AP": 0.25}')
    assert sync(project)[1] == ""
    assert client.get_model_version_by_alias("bacl", "best").version == 1


def place_of(project):
    return (project.parent / "mlartifacts").as_uri()


def test_an_experiment_that_somebody_else_made_stays_as_it_is(project):
    client = client_of(project)
    number = client.create_experiment("bacl", place_of(project), {"team": "b"})
    client.create_run(number, tags={"kind": "pipeline"})
    before = everything(client, "bacl")
    _, err = sync(project)
    assert LEFT_ALONE + "the experiment bacl is not of this project" in err
    assert "set another tracking.experiment" in err and err.count("\n") == 1
    assert everything(client, "bacl") == before
    assert client.search_registered_models() == []
    client.set_experiment_tag(number, ownership.OWNER, ownership.UNKNOWN)  # as the line says
    assert sync(project)[1] == ""


def test_an_empty_experiment_was_made_to_be_used(project):
    client = client_of(project)
    client.create_experiment("bacl", place_of(project), {"team": "b"})
    assert sync(project)[1] == ""
    assert everything(client, "bacl")[0]["tags"]["team"] == "b"


def test_an_experiment_in_the_bin_stays_there(project):
    client = client_of(project)
    sync(project)
    number = client.get_experiment_by_name("bacl").experiment_id
    client.delete_experiment(number)
    before = everything(client, "bacl")
    _, err = sync(project, force=True)
    assert f"`mlflow experiments restore --experiment-id {number}` takes it out" in err
    assert everything(client, "bacl") == before
    client.restore_experiment(number)
    assert sync(project, force=True)[1] == ""


def test_results_that_came_from_a_colleague_are_not_mirrored_twice(project):
    sync(project)
    client = client_of(project)
    before = everything(client, "bacl"), registered(client)
    clone = copied(project, "clone")
    out, err = sync(clone)
    assert (out.partition("\n")[0], err) == (
        "another checkout has mirrored these results already",
        "",
    )
    assert (everything(client, "bacl"), registered(client)) == before
    write(clone / "reports/metrics/bacl.json", '{"AP": 0.31}')  # evaluated anew
    sync(clone)
    _, runs = everything(client, "bacl")
    assert {run: runs[run] for run in before[0][1]} == before[0][1]
    found = [run["data"]["metrics"].get("bacl/AP") for run in runs.values()]
    assert sorted(filter(None, found)) == [30.0, 31.0]


def test_a_colleagues_deleted_and_unfinished_runs_stay_as_they_are(project):
    clone = copied(project, "clone")
    (project / "reports/index.html").unlink()
    sync(project)  # unfinished: without a report
    client = client_of(project)
    (parent,) = parents(runs_of(database(project.parent))[1])
    client.delete_run(child(runs_of(database(project.parent))[1], "prepare").info.run_id)
    before = everything(client, "bacl")[1]
    assert sync(clone)[1] == ""
    after = everything(client, "bacl")[1]
    assert {run: after[run] for run in before} == before
    assert parent.info.status == "RUNNING"
    assert len(after) == len(before) + RUNS


def test_somebodys_runs_in_the_experiment_stay_as_they_are(project):
    sync(project)
    client = client_of(project)
    number = client.get_experiment_by_name("bacl").experiment_id
    run = client.create_run(number, tags={"kind": "pipeline", "superseded": "true"})
    client.log_metric(run.info.run_id, "AP", 0.9)
    before = client.get_run(run.info.run_id).to_dictionary()
    sync(project, force=True)
    assert client.get_run(run.info.run_id).to_dictionary() == before


def test_runs_that_older_code_mirrored_in_fractions_are_made_again_in_percent(project):
    sync(project)
    client, runs = runs_of(database(project.parent))
    (parent,) = parents(runs)
    for run, metrics in ((parent, ("AP", "bacl/AP")), (child(runs, "evaluate@bacl"), ("AP",))):
        client.delete_tag(run.info.run_id, "scale")
        for key in metrics:
            client.log_metric(run.info.run_id, key, 0.3)
    assert sync(project, force=True)[1] == ""
    client, runs = runs_of(database(project.parent))
    (parent,) = parents(runs)
    assert len(runs) == RUNS
    assert (parent.data.metrics["bacl/AP"], "AP" in parent.data.metrics) == (30.0, False)
    evaluated = child(runs, "evaluate@bacl")
    history = client.get_metric_history(evaluated.info.run_id, "AP")
    assert [point.value for point in history] == [30.0]


def test_views_keep_the_columns_of_colleagues_with_other_methods(project):
    sync(project)
    client = client_of(project)
    number = client.get_experiment_by_name("bacl").experiment_id
    tag = f"{views.PREFIX}configurations"
    other = views.tags(["mine/AP"])[tag]
    client.set_experiment_tag(number, tag, other)
    sync(project, force=True)
    text = client.get_experiment(number).tags[tag]
    for metric in ("mine/AP", "bacl/AP", "bacl/APr", "softmax/AP"):
        assert f"metrics.`{metric}`" in text


@contextlib.contextmanager
def own_disk(folder):
    """A server that would have its clients write to its folder."""
    options = ("--no-serve-artifacts", "--default-artifact-root", "./art")
    with Server(folder, *options) as server:
        yield server


def test_a_server_that_keeps_files_on_its_own_disk_gets_the_numbers(project, tmp_path):
    with own_disk(write_folder(tmp_path / "server")) as server:
        here = f"uri: '{database(tmp_path)}', experiment: bacl"
        edit_params(project, here, f"uri: '{server.uri}', experiment: numbers")
        out, err = sync(project)
        assert "mirrored 1 pipeline run" in out
        assert "files and models stay out of MLflow" in err and err.count("\n") == 1
        assert "--serve-artifacts" in err and "set tracking.artifacts" in err
        assert not (tmp_path / "server/art").exists()
        _, runs = runs_of(server.uri, "numbers")
        assert len(runs) == RUNS
        assert parents(runs)[0].data.metrics["bacl/AP"] == 30.0
        edit_params(
            project,
            "experiment: numbers",
            f"experiment: numbers, artifacts: '{tmp_path}/server/art'",
        )
        assert sync(project)[1] == ""  # this machine sees the folder
        client, runs = runs_of(server.uri, "numbers")
        assert client.list_artifacts(parents(runs)[0].info.run_id)
        assert int(client.get_model_version_by_alias("bacl", "best").version) == 1
