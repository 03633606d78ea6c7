"""`clean` removes what the next run would not go on from, and nothing else."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline import params
from pipeline.compute.clean import clean
from pipeline.compute.run_folder import training_folder
from pipeline.files import locked


@pytest.fixture
def settings(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    digest = Path("data/symbols/index/train/digest.txt")
    digest.parent.mkdir(parents=True)
    digest.write_text("one")
    return params.load(root / "params.yaml")


def folder_with(settings, name, *files):
    folder = training_folder(settings, name)
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text("x")
    return folder


def test_it_keeps_what_the_next_run_goes_on_from(settings):
    unfinished = folder_with(settings, "bce", "step_7.pth")
    finished = folder_with(settings, "softmax", "model/weights.pth")
    other = folder_with(replace(settings, seed=9), "bce", "step_7.pth")
    # nobody can tell whose this is before the representation is there
    unknown = Path(".checkpoints/bacl-0123/step_3.pth")
    unknown.parent.mkdir()
    unknown.write_text("x")
    assert len(clean(settings, dry_run=True)) == 4
    assert other.is_dir()
    clean(settings)
    assert unfinished.is_dir()
    assert unknown.is_file()
    assert not finished.exists()
    assert not other.exists()
    clean(settings, everything=True)
    assert not unfinished.exists()


def test_a_folder_in_use_stays(settings):
    folder = folder_with(replace(settings, seed=9), "bce", "step_7.pth")
    with locked(folder):
        assert "in use" in clean(settings, everything=True)[0]
    assert folder.is_dir()


def test_a_lock_on_a_removed_folder_is_taken_again(tmp_path):
    """A process that waited while the folder was cleaned must not hold a lock on nothing."""
    code = (
        "import sys; from pipeline.files import locked\n"
        "with locked(sys.argv[1]) as lock: print(lock.name)"
    )
    with locked(tmp_path / "run"):
        waiting = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True,
            env={"PYTHONPATH": str(Path(__file__).parents[3])},
        )  # fmt: skip
        assert waiting.stdout.readline().startswith("waiting")
        (tmp_path / "run/lock").unlink()
        (tmp_path / "run").rmdir()
    assert waiting.communicate(timeout=60)[0].strip() == str(tmp_path / "run/lock")
    assert (tmp_path / "run/lock").is_file()
