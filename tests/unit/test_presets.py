"""Presets: the default is one of them, and using one says what changes."""

import os

import pytest

from pipeline import params, presets


def test_the_default_params_are_the_preset_symbols(root):
    default = (root / "params.yaml").read_text(encoding="utf-8")
    assert default == (root / "configs/presets/symbols.yaml").read_text(encoding="utf-8")


def test_using_a_preset_replaces_params_and_shows_the_difference(root, tmp_path, monkeypatch):
    monkeypatch.chdir(root)
    target = tmp_path / "params.yaml"
    target.write_text((root / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    diff = presets.use("smoke", target)
    assert {"-  train_images: 1000", "+  train_images: 120"} <= set(diff.splitlines())
    assert target.read_text() == (root / "configs/presets/smoke.yaml").read_text()
    assert presets.use("smoke", target) == ""


def test_an_unknown_preset_is_named_with_what_there_is(root, monkeypatch):
    monkeypatch.chdir(root)
    with pytest.raises(ValueError, match="unknown preset 'smok'; configs/presets has"):
        presets.use("smok")


def test_a_copy_never_overwrites(root, tmp_path, monkeypatch):
    monkeypatch.chdir(root)
    with pytest.raises(ValueError, match="exists already"):
        presets.copy("smoke", tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("umask", [0o002, 0o077])
def test_a_copy_has_the_permissions_of_new_files(umask, root, tmp_path, monkeypatch):
    monkeypatch.chdir(root)
    before = os.umask(umask)
    try:
        presets.copy("smoke", tmp_path / "copy")
    finally:
        os.umask(before)
    modes = {"README.md": 0o666, ".ci/run": 0o777, "pipeline": 0o777, "params.yaml": 0o666}
    for name, mode in modes.items():
        assert (tmp_path / "copy" / name).stat().st_mode & 0o777 == mode & ~umask, name


def test_a_copy_outside_of_git_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(ValueError, match=r"in no git repository.*git init"):
        presets.copy("smoke", tmp_path / "new")


def test_own_data_is_complete_and_marks_the_lines_to_edit(root):
    path = root / "configs/presets/own_data.yaml"
    loaded = params.load(path)
    assert loaded.data.source == "files"
    assert loaded.report.methods == ["softmax", "bce", "bacl"]
    marked = [line for line in path.read_text().splitlines() if "# yours" in line]
    assert [line.split(":")[0].strip() for line in marked] == [
        "name", "annotations", "train", "val", "image_scale",
    ]  # fmt: skip
    assert "Published AP: none" in presets.summary(path)
