"""Checkpoints are found again by exactly the run that made them."""

from dataclasses import replace

import pytest

from pipeline import params
from pipeline.compute import run_folder
from pipeline.runs import identity
from pipeline.training.scalars import forget_after


@pytest.fixture
def settings(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    data = tmp_path / "data/symbols/index/train/digest.txt"
    data.parent.mkdir(parents=True)
    data.write_text("one")
    return params.load(root / "params.yaml")


def key(settings, name="bce"):
    return run_folder.training_folder(settings, name).name


def test_the_key_follows_what_defines_the_run(settings, tmp_path):
    before = key(settings)
    block = settings.representation["bce"]
    assert key(replace(settings, seed=1)) != before
    assert key(replace(settings, train=replace(settings.train, learning_rate=1.0))) != before
    other = {**settings.representation, "bce": replace(block, epochs=99)}
    assert key(replace(settings, representation=other)) != before
    (tmp_path / "data/symbols/index/train/digest.txt").write_text("two")
    assert key(settings) != before


@pytest.mark.parametrize("name", ["images/train/000001.png", "images.csv"])
def test_the_key_follows_the_images(settings, tmp_path, name):
    """The same annotations on other pixels are another training."""
    path = tmp_path / "data/symbols" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"one")
    before = key(settings)
    path.write_bytes(b"two")
    assert key(settings) != before


def test_the_key_ignores_what_does_not(settings):
    before = key(settings)
    softmax = replace(settings.representation["softmax"], epochs=99)
    other = {**settings.representation, "softmax": softmax}
    assert key(replace(settings, representation=other)) == before
    assert key(replace(settings, compute=params.Compute(workers=0))) == before
    assert key(replace(settings, tracking=params.Tracking(enabled=False))) == before


def test_a_classifier_depends_on_the_weights_it_starts_from(settings, tmp_path):
    weights = tmp_path / "models/bce/weights.pth"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"one")
    before = key(settings, "bacl")
    weights.write_bytes(b"two")
    assert key(settings, "bacl") != before


def test_the_key_follows_the_versions(settings, monkeypatch):
    before = key(settings)
    monkeypatch.setattr(identity.importlib.metadata, "version", lambda package: "0.0")
    assert key(settings) != before


def test_a_prediction_follows_its_model_and_settings(settings, tmp_path):
    model = ("models/bce/config.py", "models/bce/weights.pth")
    for path in (*model, "data/symbols/index/val/digest.txt"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("one")
    before = run_folder.prediction_folder(settings, "bce")
    more = replace(settings, predict=replace(settings.predict, max_per_image=7))
    assert run_folder.prediction_folder(more, "bce") != before
    (tmp_path / "models/bce/weights.pth").write_text("two")
    assert run_folder.prediction_folder(settings, "bce") != before


def test_the_folder_lies_in_the_project_also_from_a_temporary_copy(settings, tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "project"))
    folder = run_folder.training_folder(settings, "bce")
    assert folder.parent == tmp_path / "project/.checkpoints"


def test_scalars_after_the_checkpoint_are_forgotten(tmp_path):
    path = tmp_path / "scalars.jsonl"
    path.write_text('{"step": 10}\n{"step": 20}\n{"step": 30}\n{"step": 4')
    forget_after(path, 20)
    assert path.read_text() == '{"step": 10}\n{"step": 20}\n'
