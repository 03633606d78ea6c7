"""Checkpoints are found again by exactly the run that made them."""

from dataclasses import replace

import pytest
import torch
from ruamel.yaml import YAML

from pipeline import params
from pipeline.training import run_folder
from pipeline.training.hooks import forget_after


@pytest.fixture
def settings(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    data = tmp_path / "data/symbols/index/train/digest.txt"
    data.parent.mkdir(parents=True)
    data.write_text("one")
    return params.load(root / "params.yaml")


def key(settings, name="bce", start=None):
    return run_folder.run_key(settings, name, start)


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
    weights = tmp_path / "weights.pth"
    weights.write_bytes(b"one")
    before = key(settings, "bacl", weights)
    weights.write_bytes(b"two")
    assert key(settings, "bacl", weights) != before


def test_dvc_yaml_names_the_same_code(settings, root):
    """A stage must rerun, and start afresh, for the same edits."""
    stages = YAML(typ="safe", pure=True).load((root / "dvc.yaml").read_text())["stages"]
    for stage, blocks in (
        ("train_representation", settings.representation),
        ("train_classifier", settings.classifier),
    ):
        for block in blocks.values():
            deps = [
                dep.replace("${detector.config}", settings.detector.config).replace(
                    "${item.loss.type}", block.loss.type
                )
                for dep in stages[stage]["do"]["deps"]
            ]
            code = [dep for dep in deps if dep.endswith(".py")]
            assert sorted(code) == sorted(run_folder.defining_code(settings, block))
            assert all((root / path).is_file() for path in code)


def test_the_folder_lies_in_the_project_also_from_a_temporary_copy(settings, tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "project"))
    assert run_folder.run_folder(settings, "bce", None).parent == tmp_path / "project/.checkpoints"


def test_the_newest_sound_checkpoint_is_taken(tmp_path):
    for epoch in (2, 9, 10):
        torch.save({"epoch": epoch}, tmp_path / f"epoch_{epoch}.pth")
    torch.save({}, tmp_path / ".epoch_11.pth.part")
    assert run_folder.newest_checkpoint(tmp_path).name == "epoch_10.pth"
    for damage in (b"", b"not a checkpoint", (tmp_path / "epoch_10.pth").read_bytes()[:300]):
        (tmp_path / "epoch_10.pth").write_bytes(damage)
        assert run_folder.newest_checkpoint(tmp_path).name == "epoch_9.pth"


def test_no_checkpoint_is_none(tmp_path):
    assert run_folder.newest_checkpoint(tmp_path) is None


def test_scalars_after_the_checkpoint_are_forgotten(tmp_path):
    path = tmp_path / "scalars.jsonl"
    path.write_text('{"step": 10}\n{"step": 20}\n{"step": 30}\n{"step": 4')
    forget_after(path, 20)
    assert path.read_text() == '{"step": 10}\n{"step": 20}\n'
