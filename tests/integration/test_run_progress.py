"""Which stage of how many: told by the stages of a small project that real DVC commands run.

The tests run in order on the same project.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.compute.chain_progress import LINE

# a stage: the inputs' texts without comments, one after the other
WORK = """
import re, sys
from pathlib import Path
from pipeline.compute.chain_progress import shown
out, *inputs = map(Path, sys.argv[1:])
with shown():
    out.parent.mkdir(exist_ok=True)
    out.write_text("".join(re.sub("#.*", "", file.read_text()) for file in inputs))
"""
CHAIN = """
stages:
  check:
    cmd: exec python work.py data/.checked
    outs: [data/.checked]
    always_changed: true
  prepare:
    cmd: exec python work.py data/set source.txt
    deps: [data/.checked, source.txt]
    outs: [data/set]
  predict:
    foreach: [a, b]
    do:
      cmd: exec python work.py predictions/${item} data/set
      params: [seed]
      deps: [data/set]
      outs: ["predictions/${item}"]
  report:
    cmd: exec python work.py reports/page predictions/a predictions/b
    deps: [predictions]
    outs: [reports/page: {cache: false}]
  track:
    cmd: exec python work.py data/.tracked
    deps: [reports/page]
    always_changed: true
"""


@pytest.fixture(scope="module")
def project(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("chain") / "project"
    folder.mkdir()
    (folder / "work.py").write_text(WORK)
    (folder / "dvc.yaml").write_text(CHAIN)
    (folder / "source.txt").write_text("one # first")
    (folder / ".gitignore").write_text("data\npredictions\n")
    shutil.copy(root / "params.yaml", folder)
    run(folder, "git", "init", "-q")
    run(folder, "dvc", "init", "-q")
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-qm", "start")
    return folder


def run(folder, *command, **environment):
    root = Path(__file__).resolve().parents[2]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    who = [f"GIT_{role}_{what}" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]
    names = dict.fromkeys(who, "tests") | {"PATH": path, "PYTHONPATH": str(root)}
    done = subprocess.run(
        command, cwd=folder, env=os.environ | names | environment,
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def places(folder, *command, **environment):
    """Such as "2/6 prepare", of each stage that ran."""
    said = LINE.findall(run(folder, "dvc", *command, **environment))
    return [f"{number}/{total} {stage}" for number, total, stage, _ in said]


WHOLE = ["1/6 check", "2/6 prepare", "3/6 predict@a", "4/6 predict@b", "5/6 report", "6/6 track"]


def test_the_first_run_has_all_stages(project):
    assert places(project, "repro") == WHOLE


def test_where_nothing_changed_those_that_always_run_are_all(project):
    assert places(project, "repro") == ["1/2 check", "2/2 track"]


def test_a_target_has_only_what_it_needs(project):
    (project / "source.txt").write_text("two # first")
    expected = ["1/3 check", "2/3 prepare", "3/3 predict@a"]
    assert places(project, "repro", "predict@a", SHELL="/bin/sh") == expected
    expected = ["1/4 check", "2/4 predict@b", "3/4 report", "4/4 track"]
    assert places(project, "repro") == expected


def test_a_result_that_stays_the_same_spares_the_rest(project):
    (project / "source.txt").write_text("two # second")
    assert places(project, "repro") == ["1/6 check", "2/6 prepare", "3/3 track"]


def test_what_the_run_cache_has_does_not_run(project):
    (project / "source.txt").write_text("one # first")
    assert places(project, "repro") == ["1/6 check", "2/3 report", "3/3 track"]


def test_options_of_the_command_count(project):
    assert places(project, "repro", "--force") == WHOLE
    assert places(project, "repro", "--force", "--single-item", "report") == ["1/1 report"]
    assert places(project, "repro", "--force", "--downstream", "predict@a") == [
        "1/3 predict@a",
        "2/3 report",
        "3/3 track",
    ]
    assert places(project, "exp", "run", "-n", "report", "-S", "seed=1", "predict@a") == [
        "1/2 check",
        "2/2 predict@a",
    ]


def test_an_experiment_in_a_copy_leaves_its_times_in_the_project(project):
    run(project, "git", "add", "-A")
    run(project, "git", "commit", "-qm", "run")
    times = project / ".dvc/tmp/durations.jsonl"
    times.unlink()
    expected = ["1/5 check", "2/5 predict@a", "3/5 predict@b", "4/4 track"]
    assert places(project, "exp", "run", "--temp", "-S", "seed=2") == expected
    assert len(times.read_text().splitlines()) == len(expected)
