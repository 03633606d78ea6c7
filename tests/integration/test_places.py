"""The project in the places where people put it; every command line as in a folder of its own."""

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from finished_runs import add_experiment, git, make_repository, metrics, settings, write_results
from tracking_project import write_project

from pipeline import presets
from pipeline.ablation.members import Run
from pipeline.ablation.progress import Progress
from pipeline.runs import experiments
from pipeline.runs.grid import Member

ODD = "a b?c#d%20ü;'e"


def run(folder, *command, **variables):
    who = [f"GIT_{role}_{what}" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]
    return subprocess.run(
        command, cwd=folder, env={**os.environ, **dict.fromkeys(who, "tests"), **variables},
        capture_output=True, encoding="utf-8", timeout=240,
    )  # fmt: skip


def module(folder, root, name, *arguments, **variables):
    """Of this checkout, on the files of ``folder``, which has no code."""
    path = {"PYTHONPATH": str(root)}
    return run(folder, sys.executable, "-m", name, *arguments, **path, **variables)


def result(ap, seed):
    values = settings(seed=seed, methods=("softmax", "bce", "bacl"))
    return {"values": values, "results": dict.fromkeys(values["report"]["methods"], metrics(ap))}


# --- a terminal without UTF-8 ---------------------------------------------------------------


def test_the_comparison_in_a_terminal_without_its_signs(root, tmp_path):
    folder = make_repository(tmp_path / "project")
    write_results(folder, **result(0.3, 0))
    add_experiment(folder, "second", **result(0.4, 1))
    done = module(folder, root, "pipeline.comparison", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "| bacl |" in done.stdout
    page = (folder / "reports/comparisons/comparison/table.md").read_text(encoding="utf-8")
    assert "35.0 ± 7.1" in page
    assert done.stdout.startswith(page.encode("ascii", "replace").decode())


# --- a subfolder of a repository ------------------------------------------------------------


@pytest.fixture
def subfolder(tmp_path, monkeypatch):
    """A project in a repository of several, with one experiment."""
    repository = make_repository(tmp_path / "repository")
    folder = repository / "detection"
    write_results(folder, **result(0.3, 0))
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "--message", "run")
    commit = git(repository, "rev-parse", "HEAD")
    git(repository, "update-ref", f"refs/exps/{commit[:2]}/{commit[2:]}/parts-all", commit)
    monkeypatch.chdir(folder)
    return folder


def test_metrics_of_an_experiment_in_a_subfolder(subfolder):
    reference = experiments.finished()["parts-all"]
    assert experiments.metrics(reference, "bacl")["AP"] == 0.3


def test_a_number_that_cannot_be_read_stops_no_member(subfolder, capsys):
    member = Member("all", "all", (), {}, "absent")
    one = Run(member, "parts-all", Path("log"), (), state="done")
    Progress(1)([one])
    assert capsys.readouterr().out == "all                      done, AP -  [1 done of 1]\n"


def test_the_comparison_in_a_subfolder(subfolder, root):
    done = module(subfolder, root, "pipeline.comparison")
    assert (done.returncode, done.stderr) == (0, "")
    assert "| bacl | **30.0** |" in done.stdout


# --- where DVC cannot keep experiments ------------------------------------------------------


@pytest.fixture
def project(root, tmp_path, monkeypatch):
    monkeypatch.chdir(root)
    presets.copy("smoke", tmp_path / "project")
    return tmp_path / "project"


def ablate(folder, *python):
    grid = "configs/ablations/smoke.yaml"
    return run(folder, *(python or [sys.executable]), "-m", "pipeline.ablation", grid)


def test_an_ablation_in_a_shallow_clone_is_refused_before_it_starts(project, tmp_path):
    git(project, "commit", "--quiet", "--allow-empty", "--message", "more")
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{project}", "clone")
    done = ablate(tmp_path / "clone")
    assert done.returncode == 1
    assert done.stderr.startswith("error:") and "git fetch --unshallow" in done.stderr
    assert not (tmp_path / "clone/.dvc/tmp/exps").exists()
    assert run(tmp_path / "clone", sys.executable, "-m", "stages.check").returncode == 0


def test_an_experiment_in_a_copy_of_a_shallow_clone_ends_at_its_first_stage(project, tmp_path):
    git(project, "commit", "--quiet", "--allow-empty", "--message", "more")
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{project}", "clone")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = ("dvc", "exp", "run", "--temp", "--set-param", "seed=1")
    done = run(tmp_path / "clone", *command, PATH=path)
    assert done.returncode != 0
    assert "git fetch --unshallow" in done.stdout + done.stderr
    assert "Running stage 'prepare'" not in done.stdout


def test_odd_names_of_folders(project, tmp_path):
    folder = tmp_path / ODD
    project.rename(folder)
    done = ablate(folder)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {folder}: DVC cannot make copies")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    small = (folder / "params.yaml").read_text().replace("_images: 120", "_images: 8")
    (folder / "params.yaml").write_text(small)
    done = run(folder, "dvc", "repro", "prepare", PATH=path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert run(folder, sys.executable, "-m", "pipeline.presets", "use", "symbols").returncode == 0


def test_mlflows_database_is_beside_the_params_whatever_the_path(root, tmp_path):
    folder = tmp_path / ODD
    folder.mkdir()
    write_project(folder, root)
    for said in ("mirrored 1 pipeline run", "mirrored 1 pipeline run"):
        done = module(folder, root, "pipeline.tracking", "sync")
        assert done.stdout.startswith(said), done.stdout + done.stderr
        assert done.stderr == ""
    with sqlite3.connect(folder / "mlflow.db") as database:
        assert database.execute("SELECT count(*) FROM runs").fetchone()[0] > 3
    assert (folder / "mlflow.db").stat().st_mode & 0o111 == 0
    assert [path.name for path in tmp_path.iterdir()] == [ODD]
    compared = module(folder, root, "pipeline.comparison", "mlflow:bacl")
    assert "| bacl |" in compared.stdout, compared.stderr


@pytest.mark.parametrize("umask", [0o002, 0o077])
def test_mlflows_files_get_what_the_umask_says(umask, root, tmp_path):
    before = os.umask(umask)
    try:
        write_project(tmp_path, root)
        (tmp_path / "params.yaml").chmod(0o666 & ~umask)  # a copy has the mode of what it copies
        done = module(tmp_path, root, "pipeline.tracking", "sync")
    finally:
        os.umask(before)
    assert done.returncode == 0
    made = [tmp_path / "mlflow.db", tmp_path / ".mlflow-mirror.json"]
    for path in [*made, *(tmp_path / "mlartifacts").rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o777 if path.is_dir() else 0o666) & ~umask, path


# --- without git, without an activated environment ------------------------------------------


@pytest.mark.parametrize("target", ["repro", "smoke", "test"])
def test_make_knows_before_it_installs_that_an_archive_is_no_repository(target, root, tmp_path):
    shutil.copy(root / "Makefile", tmp_path)
    (tmp_path / "pyproject.toml").touch()
    alone = {"MAKEFLAGS": "", "MAKELEVEL": ""}  # these tests may run under make themselves
    done = run(tmp_path, "make", target, GIT_CEILING_DIRECTORIES=str(tmp_path.parent), **alone)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "`git clone` it instead of downloading an archive" in done.stderr
    git(tmp_path, "init", "--quiet")
    assert run(tmp_path, "make", "--dry-run", target).returncode == 0


def test_a_member_finds_its_python_where_the_environment_is_not_activated(project):
    """Without a python on the PATH: its first stage is reached, and refuses what it is told."""
    log = project / "log"
    code = (
        "from pathlib import Path; from pipeline.ablation.start import start_experiment; "
        "print(start_experiment('one', ['+wrong=1'], Path('log')).wait())"
    )
    run(project, sys.executable, "-c", code, PATH="/usr/bin:/bin")
    assert "error: unknown key wrong in params.yaml" in log.read_text(), log.read_text()
