"""Two colleagues: two clones, a git remote, a DVC remote and an MLflow server, all of them real.

Training, prediction and evaluation copy their results; check, seeds, report and track are the
project's own.
"""

import re
import shutil

import pytest
from copied_chain import chain, run
from finished_runs import dump, git
from mlflow.tracking import MlflowClient
from report_project import PARAMS, make_project
from tracking_project import Server, write

METHODS = ("softmax", "bce", "bacl")
COMPUTED = ("check", "seeds", "report", "track")
ALWAYS = {"check", "seeds", "track"}
EXPERIMENT = "classifier.bacl.loss.alpha=0.5"
HIM = {
    f"GIT_{role}_{what}": "tests@x"
    for role in ("AUTHOR", "COMMITTER")
    for what in ("NAME", "EMAIL")
}


def results_of(folder):
    """Everything that the copying stages make."""
    folder.mkdir()
    make_project(folder)
    shutil.copy(folder / "data/blocks/val.json", folder / "data/blocks/train.json")
    for method in METHODS:
        write(folder / f"models/{method}/weights.pth", f"weights of {method}")
        write(folder / f"models/{method}/config.py", "model = dict(roi_head=dict(type='x'))\n")
    write(folder / "reports/data/blocks.html", "x")
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture(scope="module")
def author(root, tmp_path_factory, server):
    """A clone whose state is finished, committed and pushed."""
    place = tmp_path_factory.mktemp("together")
    results = results_of(place / "results")
    git(place, "init", "--quiet", "--bare", "--initial-branch", "main", "remote.git")
    git(place, "clone", "--quiet", "remote.git", "author")
    folder = place / "author"
    for name in ("pipeline", "stages", "configs"):
        shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (".gitignore", ".dvcignore"):
        shutil.copy(root / name, folder)
    dump(folder / "dvc.yaml", chain(root, results, COMPUTED))
    tracking = f"tracking: {{uri: '{server.uri}', experiment: team}}\n"
    params = PARAMS.replace("gallery_images: 4", "gallery_images: 0")
    params = params.replace("{type: fcbl}", "{type: fcbl, alpha: 0.85}")
    write(folder / "params.yaml", f"seed: 0\npredict: {{max_per_image: 9}}{params}{tracking}")
    git(folder, "checkout", "--quiet", "-b", "main")
    run(folder, "dvc", "init", "--quiet")
    run(folder, "dvc", "remote", "add", "--default", "shared", str(place / "storage"))
    done = repro(folder)
    assert "mirrored 1 pipeline run and 11 stage runs, 3 models" in done.stdout, done.stdout
    push(folder, "run")
    run(folder, "python", "-m", "pipeline.tracking", "sync")  # the dvc.lock of the end
    return folder


@pytest.fixture(scope="module")
def colleague(author):
    git(author.parent, "clone", "--quiet", "remote.git", "colleague")
    folder = author.with_name("colleague")
    run(folder, "dvc", "pull", "--quiet")
    return folder


def repro(folder, *arguments):
    return run(folder, "dvc", "repro", *arguments, **HIM)


def push(folder, message):
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", message)
    run(folder, "dvc", "push", "--quiet")
    git(folder, "push", "--quiet", "--set-upstream", "origin", "main")


def runs_again(folder):
    """The stages that `dvc repro` would run."""
    done = run(folder, "dvc", "repro", "--dry", "--allow-missing")
    return set(re.findall("Running stage '(.+)'", done.stdout))


def status(folder):
    return git(folder, "status", "--porcelain")


def runs_of(server):
    client = MlflowClient(tracking_uri=server.uri)
    runs = client.search_runs([client.get_experiment_by_name("team").experiment_id])
    return {run.info.run_id: run.to_dictionary() for run in runs}


def versions_of(server):
    found = MlflowClient(tracking_uri=server.uri).search_model_versions()
    return sorted((version.name, int(version.version)) for version in found)


def test_a_clone_of_a_finished_state_runs_nothing_and_changes_nothing(author, colleague, server):
    before = runs_of(server), versions_of(server)
    assert runs_again(colleague) == ALWAYS
    done = repro(colleague)
    assert "another checkout has mirrored these results already" in done.stdout
    assert status(colleague) == ""
    assert (runs_of(server), versions_of(server)) == before


def test_an_experiment_is_shared_applied_and_compared(author, colleague, server):
    run(colleague, "dvc", "exp", "run", "--temp", "--name", "half", "-S", EXPERIMENT, **HIM)
    run(colleague, "dvc", "exp", "push", "origin", "half", "--quiet")
    run(author, "dvc", "exp", "pull", "origin", "half", "--quiet")
    before = runs_of(server)
    names = {found["info"]["run_name"] for found in before.values()}
    assert "bacl, alpha 0.5 · seed 0 · blocks" in names
    assert versions_of(server) == [(method, 1) for method in sorted(METHODS)]  # of equal weights
    done = run(author, "python", "-m", "pipeline.tracking", "sync", "--experiments")
    assert "half: another checkout has mirrored these results already" in done.stdout
    assert runs_of(server) == before
    compare = ("python", "-m", "pipeline.comparison", "--metrics", "AP", "--method", "bacl")
    for sources in ((".",), (str(colleague), "workspace"), ("mlflow:team",)):
        table = run(author, *compare, *sources).stdout
        assert "0.5" in table and "0.85" in table, table
    run(author, "dvc", "exp", "apply", "half")
    assert "alpha: 0.5" in (author / "params.yaml").read_text()
    assert runs_again(author) == ALWAYS
    repro(author)
    assert runs_of(server) == before
    git(author, "checkout", "--quiet", ".")
    run(author, "dvc", "checkout", "--quiet")


def test_a_method_that_was_removed_leaves_nothing_that_changes_a_colleagues_state(
    author, colleague
):
    text = (author / "params.yaml").read_text()
    text = text.replace("  softmax: {loss: {type: cross_entropy}, epochs: 24}\n", "")
    text = text.replace("methods: [softmax, bce, bacl], baseline: softmax", METHODS_LEFT)
    write(author / "params.yaml", text)
    done = repro(author)
    assert "removed, as params.yaml no longer has their methods: models/softmax, " in done.stdout
    for left in ("models/softmax", "predictions/softmax.parquet", "reports/metrics/softmax.json"):
        assert not (author / left).exists()
    push(author, "less")
    git(colleague, "pull", "--quiet")
    run(colleague, "dvc", "pull", "--quiet")
    git(author.parent, "clone", "--quiet", "remote.git", "third")
    third = author.with_name("third")
    run(third, "dvc", "pull", "--quiet")
    for folder in (colleague, third):
        assert runs_again(folder) == ALWAYS
        repro(folder)
        assert status(folder) == ""


METHODS_LEFT = "methods: [bce, bacl], baseline: bce"


def test_a_removed_method_comes_back_without_training(author):
    git(author, "checkout", "--quiet", "HEAD~1", "--", "params.yaml")
    assert not (author / "models/softmax").exists()
    done = repro(author, "train_representation@softmax")
    assert "is cached - skipping run, checking out outputs" in done.stdout
    assert (author / "models/softmax/weights.pth").is_file()
    git(author, "checkout", "--quiet", "HEAD", "--", "params.yaml")
