"""`sync --experiments` on a real experiment of DVC, whose stages copy files instead of training."""

import shutil
import sys

import pandas as pd
import pytest
from copied_chain import chain, run
from finished_runs import dump, git
from mlflow.tracking import MlflowClient
from ruamel.yaml import YAML
from tracking_project import write, write_project

from pipeline.params import Params, parse, read_yaml
from pipeline.runs.identity import INPUTS, as_text, chain_inputs
from pipeline.tracking.background import CODE
from pipeline.tracking.replay import sync_experiments

UNUSED = (
    "reports/data/symbols.html",
    "reports/seeds.json",
    "reports/summary.json",
)
METHODS = ("softmax", "bce", "bacl")
STAGES = {
    "prepare",
    "report",
    "train_representation@softmax",
    "train_representation@bce",
    "train_classifier@bacl",
    *(f"{stage}@{method}" for stage in ("predict", "evaluate") for method in METHODS),
}


def write_results(folder, root):
    """Everything that the stages of dvc.yaml would make."""
    write_project(folder, root)
    for method in METHODS:
        write(folder / f"models/{method}/weights.pth", f"weights of {method}")
        write(folder / f"models/{method}/config.py", "model = dict(roi_head=dict(type='x'))\n")
        write(folder / f"reports/per_category/{method}.csv", "category_id,AP\n1,0.5\n")
        write(folder / f"reports/diagnosis/{method}/plots/errors.svg", "<svg/>")
        table = pd.DataFrame({"method": [method] * 2})
        (folder / "predictions").mkdir(exist_ok=True)
        table.to_parquet(folder / f"predictions/{method}.parquet")
    write(folder / "data/symbols/images/train/1.png", "a picture")
    tables = [f"over_seeds.{kind}" for kind in ("csv", "md", "tex")]
    for name in ("ap_by_frequency.md", "ap_by_frequency.tex", *tables, "plots/ap.svg"):
        write(folder / "reports" / name, name)
    for name in UNUSED:
        write(folder / name, "{}")
    write(folder / INPUTS, as_text(chain_inputs(experiment(root))))


def experiment(root):
    """The params of the experiment."""
    values = read_yaml(root / "params.yaml")
    values["classifier"]["bacl"]["loss"]["alpha"] = 0.5
    return parse(Params, values, "")


@pytest.fixture(scope="module")
def finished(root, tmp_path_factory):
    """A repository whose own folder has run nothing, and an experiment in git and DVC's cache."""
    results, folder = (tmp_path_factory.mktemp(name) for name in ("results", "project"))
    write_results(results, root)
    dump(folder / "dvc.yaml", chain(root, results))
    text = (root / "params.yaml").read_text().replace("uri: sqlite", "uri: sqlite, models: false")
    off = text.replace("models: false", "models: false, enabled: false")
    write(folder / "params.yaml", off)  # what the experiment says of tracking does not count
    for name in (".gitignore", ".dvcignore"):
        shutil.copy(root / name, folder)
    git(folder, "init", "--quiet")
    run(folder, "dvc", "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "start")
    change = "classifier.bacl.loss.alpha=0.5"
    run(folder, "dvc", "exp", "run", "--temp", "--name", "half", "--set-param", change)
    assert not (folder / "models").exists()
    write(folder / "params.yaml", text)
    return folder


@pytest.fixture
def project(finished, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(finished, folder, symlinks=True)
    return folder


def sync_by_command(folder):
    command = [sys.executable, "-m", "pipeline.tracking", "sync", "--experiments"]
    done = run(CODE, *command, "--root", str(folder))
    assert done.stderr == ""
    return done.stdout.splitlines()


def runs_of(folder):
    client = MlflowClient(tracking_uri=f"sqlite:///{folder}/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("bacl").experiment_id])
    return client, {run.data.tags.get("stage", "pipeline"): run for run in runs}, len(runs)


def everything(folder):
    """What a second sync must leave as it is, the history of every number included."""
    client, runs, number = runs_of(folder)
    histories = {
        (name, key): [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, key)]
        for name, run in runs.items()
        for key in run.data.metrics
    }
    facts = {name: (run.info.run_id, run.info.status, run.data) for name, run in runs.items()}
    return (
        number,
        histories,
        {name: (*fact[:2], fact[2].to_dictionary()) for name, fact in facts.items()},
    )


def test_an_experiment_is_rebuilt_from_git_and_the_cache(project):
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("models: false", "models: true"))
    lines = sync_by_command(project)
    assert lines[0].startswith("nothing to mirror yet")  # the folder itself has run nothing
    assert lines[1:] == ["half: mirrored 1 pipeline run and 11 stage runs, 3 models"]
    client, runs, number = runs_of(project)
    assert runs.keys() == STAGES | {"pipeline"}
    assert number == len(runs)
    parent = runs["pipeline"]
    assert parent.info.run_name == "bacl, alpha 0.5 · seed 0 · symbols"
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    assert parent.data.metrics["bacl/AP"] == 30.0
    assert parent.data.tags["dvc.experiment"] == "half"
    assert parent.data.tags["dvc.train_classifier.bacl"].startswith("models/bacl ")
    assert runs["predict@bacl"].data.metrics["detections"] == 2
    for stage in ("train_representation@bce", "train_classifier@bacl"):
        history = client.get_metric_history(runs[stage].info.run_id, "loss")
        assert [point.step for point in history] == list(range(1, 21))
    artifacts = {artifact.path for artifact in client.list_artifacts(parent.info.run_id)}
    assert artifacts == {"params.yaml", "dvc.yaml", "dvc.lock", "reports"}
    versions = client.search_model_versions()
    assert {(version.name, version.version) for version in versions} == {
        (method, 1) for method in METHODS
    }
    before = everything(project)
    assert sync_experiments(project) == lines[1]
    assert everything(project) == before
    assert client.search_model_versions() == versions


def cache_object(project, path):
    """Where DVC keeps an output of the experiment."""
    (name,) = git(project, "for-each-ref", "--format=%(refname)", "refs/exps/*/*/half").split()
    stages = YAML(typ="safe").load(git(project, "show", f"{name}:dvc.lock"))["stages"]
    outs = [out for stage in stages.values() for out in stage.get("outs", [])]
    (md5,) = [out["md5"] for out in outs if out["path"] == path]
    return project / ".dvc/cache/files/md5" / md5[:2] / md5[2:]


@pytest.mark.parametrize("path", ["models/bacl", "data/symbols", "predictions/softmax.parquet"])
def test_an_experiment_that_has_left_the_cache_is_named_and_makes_no_run(project, path):
    cache_object(project, path).unlink()
    line = sync_experiments(project)
    assert line == f"half: left out: {path} is neither in git nor in DVC's cache any more"
    assert not (project / "mlflow.db").exists()


def test_of_one_configuration_the_newest_experiment_is_shown(project):
    """Taking turns, two would replace each other's numbers at every sync."""
    (name,) = git(project, "for-each-ref", "--format=%(refname)", "refs/exps/*/*/half").split()
    tree, start = git(project, "rev-parse", f"{name}^{{tree}}", "HEAD").split()
    late = {f"GIT_{who}_DATE": "2099-01-01T00:00:00+0000" for who in ("AUTHOR", "COMMITTER")}
    commit = git(project, "commit-tree", tree, "-p", start, "-m", "again", **late)
    git(project, "update-ref", name.replace("half", "again"), commit)
    assert sync_experiments(project).splitlines() == [
        "again: mirrored 1 pipeline run and 11 stage runs",
        "half: left out: again has the same configuration",
    ]
    assert runs_of(project)[1]["pipeline"].data.tags["dvc.experiment"] == "again"


def test_a_complete_folder_shows_its_own_results_not_an_experiments(project, root):
    write_results(project, root)
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("alpha: 0.85", "alpha: 0.5"))
    line = "half: left out: this folder has the same configuration"
    assert sync_experiments(project) == line


def test_without_a_server_nothing_is_laid_out(project):
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("uri: sqlite", "uri: 'http://127.0.0.1:9'"))
    assert sync_experiments(project).startswith("no experiments were mirrored: ")
