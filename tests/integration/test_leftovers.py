"""What a removed method leaves, in a real DVC project: gone where DVC can bring it back."""

import shutil

import pytest
from copied_chain import run
from finished_runs import dump, git, settings, write

from pipeline.params import Params, parse
from pipeline.runs.leftovers import current_outputs, remove_leftovers

GONE = (
    *("models/old", "predictions/old.parquet"),
    *("reports/metrics/old.json", "reports/diagnosis/old"),
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """With the outputs of a method `old`, which params.yaml does not have."""
    folder = tmp_path_factory.mktemp("finished")
    make = [
        "mkdir -p models/old/part predictions reports/metrics reports/diagnosis/old",
        "echo w > models/old/weights.pth && echo c > models/old/part/config.py",
        "echo p > predictions/old.parquet && echo 1 > reports/metrics/old.json",
        "echo b > reports/diagnosis/old/b.csv && echo a > reports/diagnosis/old/a.csv",
    ]
    outs = [*GONE[:2], *({path: {"cache": False}} for path in GONE[2:])]
    dump(folder / "dvc.yaml", {"stages": {"old": {"cmd": make, "outs": outs}}})
    git(folder, "init", "--quiet")
    run(folder, "dvc", "init", "--quiet")
    run(folder, "dvc", "repro", "--quiet")
    for method in ("softmax", "bce", "bacl"):
        write(folder / f"models/{method}/weights.pth", "w")
    return folder


@pytest.fixture
def project(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "project", symlinks=True)


PARAMS = parse(Params, settings(), "")


def left(project):
    return [path for path in GONE if (project / path).exists()]


def test_outputs_go_and_come_back(project):
    lines = remove_leftovers(PARAMS, project)
    assert lines == [f"removed, as params.yaml no longer has their methods: {', '.join(GONE)}"]
    assert left(project) == []
    assert (project / "models/bce/weights.pth").is_file()
    assert remove_leftovers(PARAMS, project) == []
    run(project, "dvc", "checkout", "--quiet", "models/old", "predictions/old.parquet")
    assert (project / "models/old/part/config.py").read_text() == "c\n"


@pytest.mark.parametrize(
    ("path", "kept"),
    [
        ("models/old/part/config.py", "models/old"),
        ("predictions/old.parquet", "predictions/old.parquet"),
        ("reports/diagnosis/old/a.csv", "reports/diagnosis/old"),
        ("reports/metrics/old.json", "reports/metrics/old.json"),
    ],
)
def test_what_was_changed_by_hand_stays_and_is_named(project, path, kept):
    (project / path).chmod(0o644)
    write(project / path, "mine")
    _, own = remove_leftovers(PARAMS, project)
    assert own.startswith(f"no stage makes {kept}, but the report depends on the whole folder")
    assert left(project) == [kept]


def test_a_file_of_ones_own_stays_and_is_named(project):
    write(project / "models/old_backup/weights.pth", "w")
    write(project / "models/old/notes.txt", "mine")
    lines = remove_leftovers(PARAMS, project)
    assert "no stage makes models/old, models/old_backup, but" in lines[1]
    assert (project / "models/old/notes.txt").is_file()


def test_what_has_left_the_cache_stays(project):
    shutil.rmtree(project / ".dvc/cache/files")
    lines = remove_leftovers(PARAMS, project)
    assert "no stage makes models/old, predictions/old.parquet, but" in lines[1]
    assert left(project) == ["models/old", "predictions/old.parquet"]


def test_without_a_dvc_lock_nothing_goes(project):
    for text in (None, "stages: [", "schema: '2.0'\n"):
        (project / "dvc.lock").unlink() if text is None else write(project / "dvc.lock", text)
        (line,) = remove_leftovers(PARAMS, project)
        assert line.startswith("no stage makes models/old, ")
        assert left(project) == list(GONE)


def test_what_a_killed_one_was_removing_goes(project):
    (project / "models/old").rename(project / "models/.old.removed")
    (project / "models/.old.removed/weights.pth").unlink()
    remove_leftovers(PARAMS, project)
    assert not (project / "models/.old.removed").exists()


def test_the_folders_are_those_that_the_report_depends_on(root):
    from ruamel.yaml import YAML

    stages = YAML(typ="safe").load(root / "dvc.yaml")["stages"]
    deps = stages["report"]["deps"] + stages["seeds"]["deps"]
    outs = [
        out if isinstance(out, str) else next(iter(out))
        for stage in stages.values()
        for out in stage.get("do", stage).get("outs", [])
    ]
    whole = {dep for dep in deps if any(out.startswith(f"{dep}/") for out in outs)}
    assert whole == set(current_outputs(PARAMS))
