"""A wrong key or value in params.yaml is one line that names it and what is allowed."""

import copy
import dataclasses
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline import params
from pipeline.data.sources import files
from pipeline.params.compute import seconds_of
from pipeline.params.notes import notes
from pipeline.params.parts import Loss

YAML_READER = YAML(typ="safe", pure=True)


@pytest.fixture
def raw(root):
    return YAML_READER.load((root / "params.yaml").read_text(encoding="utf-8"))


def changed(raw, place, value):
    """A copy of ``raw`` in which the dotted ``place`` holds ``value``."""
    result = copy.deepcopy(raw)
    *parents, last = place.split(".")
    block = result
    for name in parents:
        block = block[name]
    block[last] = value
    return result


def test_the_default_is_valid(root):
    loaded = params.load(root / "params.yaml")
    bacl = loaded.classifier["bacl"]
    assert (bacl.start, bacl.loss, bacl.prior) == (
        "bce",
        Loss.from_yaml({"type": "fcbl"}, ""),
        0.001,
    )


def test_every_preset_is_valid(root):
    presets = list((root / "configs" / "presets").glob("*.yaml"))
    assert presets
    for preset in presets:
        params.load(preset)


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("trian", {}, ["trian", "did you mean 'train'"]),
        ("train.bach_size", 4, ["train.bach_size", "did you mean 'batch_size'"]),
        ("classifier.bacl.loss.alhpa", 1, ["classifier.bacl.loss.alhpa", "'alpha'"]),
        ("classifier.bacl.loss.alpha", "high", ["bacl.loss.alpha", "'high'", "a number"]),
        ("classifier.bacl.loss.type", "fogal", ["'fogal'", "bce, cross_entropy, ", "fcbl"]),
        ("classifier.bacl.loss.prob_thr", 1.5, ["prob_thr", "1.5", "0 to 1"]),
        ("classifier.bacl.loss", "fcbl", ["classifier.bacl.loss", "a mapping with a type"]),
        ("classifier.bacl.from", "bec", ["classifier.bacl.from", "'bec'", "softmax, bce"]),
        ("classifier.bacl.from", "bacl", ["classifier.bacl.from", "'bacl'", "softmax, bce"]),
        ("classifier.bacl.from", None, ["classifier.bacl.from is None", "a text"]),
        ("representation.bce.epochs", 0, ["representation.bce.epochs", "0", "1 to"]),
        ("representation.bce.milestones", [99], ["representation.bce.milestones", "99", "1 to"]),
        ("classifier.bacl.features", "hallucination", ["bacl.features", "a mapping with a type"]),
        ("classifier.bacl.features.type", "fog", ["features.type is 'fog'", "hallucination"]),
        ("classifier.bacl.features.decay_ratio", 2, ["bacl.features.decay_ratio is 2", "0 to 1"]),
        ("classifier.bacl.sampler", {"type": "x"}, ["classifier.bacl.sampler.type is 'x'"]),
        ("classifier.bacl.predictor", {"type": "x"}, ["predictor.type is 'x'", "normed_linear"]),
        ("representation.bce.features", {"type": "hallucination"}, ["representation.bce.features"]),
        ("classifier.bacl.train", [], ["classifier.bacl.train is []", "fc_cls, fc_reg, rpn"]),
        ("classifier.bacl.train", ["fc"], ["classifier.bacl.train[0] is 'fc'", "fc_cls, fc_reg"]),
        ("classifier.bacl.train", "rpn", ["classifier.bacl.train is 'rpn'", "a list"]),
        ("representation.bce.train", ["rpn"], ["unknown key representation.bce.train"]),
        ("representation.softmax.prior", 0.01, ["representation.softmax.prior", "remove it"]),
        ("train.clip_gradient", 0, ["train.clip_gradient"]),
        ("representation.bce.epochs", 1.5, ["representation.bce.epochs", "a whole number"]),
        ("representation.bce.epochs", True, ["representation.bce.epochs", "a whole number"]),
        ("representation.bce.augmentation.scale_jitter", [2, 1], ["scale_jitter", "[low, high]"]),
        ("representation.bacl", {"loss": {"type": "bce"}, "epochs": 1}, ["'bacl'", "rename"]),
        ("pretrained", {"v.1": {"weights": "x", "loss": {"type": "bce"}}}, ["'v.1'", "no '.'"]),
        ("tracking.uri", "file:///tmp/mlruns", ["tracking.uri", "'file:///tmp/mlruns'", "sqlite"]),
        ("tracking.uri", "postgresql+psycopg2://h/d", ["tracking.artifacts", "s3://bucket/path"]),
        ("report.methods", [], ["report.methods is empty"]),
        ("report.baseline", "sofmax", ["'sofmax'", "report.baseline", "softmax, bce, bacl"]),
        ("report.methods", ["bce"], ["report.baseline", "not in report.methods"]),
        ("report.methods", "bce", ["report.methods", "a list"]),
        ("train.optimizer", "adam", ["train.optimizer", "sgd, adamw"]),
        ("train.precision", "fp8", ["train.precision", "fp32, fp16, bf16"]),
        ("train.base_batch_size", 0, ["train.base_batch_size", "1 to"]),
        ("compute.images_per_gpu", 0, ["compute.images_per_gpu", "1 to"]),
        ("compute.images_per_gpu", 2, ["compute.images_per_gpu is 2", "train.micro_batch"]),
        ("train.micro_batch", 3, ["train.micro_batch is 3", "divisor"]),
        ("representation.bce.proposals", 0, ["representation.bce.proposals", "1 to"]),
        ("representation.bce.augmentation.short_edges", [640], ["bce.augmentation", "jitter"]),
        ("representation.bce.augmentation.canvas", [640], ["augmentation.canvas", "height"]),
        ("detector.image_scale", [128], ["detector.image_scale", "[width, height]"]),
        ("compute.gpus", "all", ["compute.gpus", "'all'", "auto or a number"]),
        ("compute.gpus", -1, ["compute.gpus", "-1"]),
        ("compute.gpus", 1.5, ["compute.gpus", "1.5", "a whole number"]),
        ("compute.processes", 2, ["compute.processes", "compute.gpus is auto"]),
        ("compute.backend", "slurm", ["compute.gpus is auto", "number of GPUs"]),
        ("compute.slurm", {"time_limit": "a day"}, ["slurm.time_limit", "'a day'", "HH:MM:SS"]),
        ("compute.slurm", {"time_limit": "2"}, ["slurm.signal_seconds is 120", "a job of 2"]),
        ("compute.slurm", {"options": {"array": "0-3"}}, ["'array'", "one job"]),
        ("compute.slurm", {"options": {"nodes": 2}}, ["'nodes'", "compute.slurm.nodes"]),
        ("compute.slurm", {"options": {"mem": [1]}}, ["compute.slurm.options.mem", "[1]"]),
        ("pretrained", {"bce": {"weights": "x", "loss": {"type": "bce"}}}, ["'bce'", "rename"]),
        ("pretrained", {"x": {"weights": "x"}}, ["pretrained.x.loss", "missing"]),
        (
            "pretrained",
            {"x": {"weights": "x", "loss": {"type": "bce"}, "sha256": "12"}},
            ["pretrained.x.sha256", "'12'", "64 digits"],
        ),
        ("seed", 2**32, ["seed", "4294967296", "0 to 4294967295"]),
        ("train.learning_rate", float("inf"), ["train.learning_rate", "inf"]),
        ("data.name", "..", ["data.name", "'..'", "letters"]),
        ("data.name", "", ["data.name", "letters"]),
        ("detector.config", "faster_rcnn_r19", ["detector.config", "faster_rcnn_r18_fpn"]),
        ("report.methods", ["softmax", "softmax"], ["report.methods", "once"]),
        (
            "classifier.bacl.loss.type",
            ["fcbl"],
            ["classifier.bacl.loss.type", "['fcbl']", "bce, cross_entropy"],
        ),
        ("classifier.bacl.loss.weight_start_epoch", 9, ["weight_start_epoch", "9", "0 to 8"]),
        ("classifier.bacl.features.start_epoch", 9, ["features.start_epoch", "9", "0 to 8"]),
        ("seed", "one", ["seed", "'one'", "a whole number"]),
        ("data.source", "", ["data.source", "allowed: files, lvis, symbols"]),
        ("data.source", None, ["data.source", "allowed: files, lvis, symbols"]),
        ("data.source", "pipeline/data/symbol.py", ["data.source", "allowed: files, lvis"]),
        ("data.exponent", None, ["data.exponent", "None", "a number"]),
    ],
)
def test_a_wrong_value_is_named(raw, place, value, words):
    with pytest.raises(ValueError, match=r"\w") as caught:
        params.parse(params.Params, changed(raw, place, value), "")
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.mark.parametrize("name", ["a b", "../a", "-a", ".a", "a/b", "", "a;b", 1])
def test_a_method_is_named_as_files_and_commands_can_be(raw, name):
    more = copy.deepcopy(raw)
    more["representation"][name] = {"loss": {"type": "bce"}, "epochs": 1}
    with pytest.raises(ValueError, match=r"a name under representation is .* letters"):
        params.parse(params.Params, more, "")


def test_images_are_found_from_home_and_from_a_temporary_copy(tmp_path, monkeypatch):
    split = files.Split(annotations="a.json", images="../photos")
    home = files.Split(annotations="a.json", images="~/photos")
    data = files.Data(name="own", source="files", annotations=".", train=split, val=home)
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    assert data.images("train") == tmp_path / "../photos"
    assert data.images("val") == Path("/home/me/photos")
    monkeypatch.chdir(tmp_path)
    assert data.images("train") == Path("../photos")


def test_momentum_is_refused_where_it_has_no_effect(raw):
    adamw = changed(changed(raw, "train.optimizer", "adamw"), "train.momentum", 0.9)
    with pytest.raises(ValueError, match=r"train\.momentum has no effect on adamw"):
        params.parse(params.Params, adamw, "")


def test_a_pretrained_model_is_a_method_and_a_start(raw):
    block = {"weights": "x.pth", "loss": {"type": "bce"}}
    more = changed(changed(raw, "pretrained", {"theirs": block}), "report.methods", ["theirs"])
    more = changed(changed(more, "report.baseline", "theirs"), "classifier.bacl.from", "theirs")
    loaded = params.parse(params.Params, more, "")
    assert loaded.method("theirs").weights == "x.pth"
    assert loaded.ancestry("bacl") == ["bacl", "theirs"]


def test_a_missing_key_is_named(raw):
    del raw["classifier"]["bacl"]["epochs"]
    with pytest.raises(ValueError, match=r"classifier\.bacl\.epochs is missing"):
        params.parse(params.Params, raw, "")


def test_a_duplicate_key_and_broken_yaml_are_one_line(tmp_path):
    for text in ("seed: 0\nseed: 1\n", "seed: [0\n", "\xff"):
        path = tmp_path / "params.yaml"
        path.write_text(text, encoding="latin-1")
        with pytest.raises(ValueError, match=r"params\.yaml is not valid YAML") as caught:
            params.load(path)
        assert "\n" not in str(caught.value)


def test_a_missing_file_names_the_remedy(tmp_path):
    with pytest.raises(ValueError, match="configs/presets"):
        params.load(tmp_path / "params.yaml")


def test_scientific_notation_is_a_number(raw):
    loaded = params.parse(params.Params, changed(raw, "representation.bce.weight_decay", 5e-5), "")
    assert loaded.representation["bce"].weight_decay == 5e-5


def test_params_are_frozen(root):
    loaded = params.load(root / "params.yaml")
    with pytest.raises(dataclasses.FrozenInstanceError):
        loaded.seed = 3


@pytest.mark.parametrize("place", ["annotations", "train.images", "val.images"])
def test_own_files_may_not_lie_in_the_folder_that_dvc_empties(raw, place):
    split = {"annotations": "a.json", "images": "elsewhere"}
    data = {"name": "photos", "source": "files", "annotations": "elsewhere"}
    data |= {"train": split, "val": {**split}}
    data = changed(data, place, "data/photos/mine")
    with pytest.raises(ValueError, match=rf"^data\.{place} is 'data/photos/mine', but DVC empties"):
        params.parse(params.Params, {**raw, "data": data}, "")


def test_settings_that_are_switched_off_are_named(raw):
    assert notes(params.parse(params.Params, raw, "").methods()) == []
    raw["classifier"]["bacl"]["loss"] = {
        "type": "fcbl",
        "alpha": 0.5,
        "prob_thr": 0.5,
        "margin": False,
    }
    assert notes(params.parse(params.Params, raw, "").methods()) == [
        "note: classifier.bacl.loss.alpha has no effect while classifier.bacl.loss.margin is false"
    ]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 5400), ("2:30", 150), ("1:00:00", 3600), ("2-3", 183600), ("1-0:30", 88200),
     ("1-00:00:05", 86405)],
)  # fmt: skip
def test_time_limits_are_read_as_sbatch_reads_them(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed: " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        ("seed: " + "9" * 400, "seed is .* below 2.63"),
        ("seed: " + "9" * 5000, "not valid YAML"),
        ("seed: .nan", "seed is nan; it takes a whole number"),
        ("seed: 2024-13-01", "not valid YAML|seed is"),
        ("seed: !!binary aGk=", "seed is b'hi'"),
        ("seed: " + "x" * 5000, "seed is 'xxx.*; it takes a whole number"),
        ('"\\ud83d": 1', "unknown key '.ud83d'"),
        ("? [a]\n: 1", r"unknown key \('a',\)"),
        ("x" * 900 + ": 1", "unknown key 'xxx"),
        ("a: &a [*a]", "unknown key a"),
    ],
)
def test_odd_yaml_is_one_short_line(root, tmp_path, text, words):
    path = tmp_path / "params.yaml"
    whole = (root / "params.yaml").read_text(encoding="utf-8")
    path.write_text(whole.replace("seed: 0", text + "\n", 1), encoding="utf-8")
    with pytest.raises(ValueError, match=words) as caught:
        params.load(path)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("train.learning_rate", 10**400, "train.learning_rate is 1000.*below 2"),
        ("train.learning_rate", float("nan"), "train.learning_rate is nan; it takes a finite"),
        ("representation.bce.augmentation.canvas", [10**400, 1], r"canvas\[0\] is 1000"),
        ("tracking.experiment", "two\nlines", r"experiment is 'two.nlines'; .* can be printed"),
        ("tracking.experiment", "half \ud83d", "tracking.experiment is"),
        ("compute.slurm", {"options": {"mem": float("nan")}}, "options.mem is nan"),
        ("compute.slurm", {"options": {3: 1}}, "a name under compute.slurm.options is 3"),
        ("representation.BCE", {"loss": {"type": "bce"}, "epochs": 1}, "bce and .*BCE are one"),
        ("data.name", "x" * 101, "data.name is 'xxx.* up to 100 letters"),
    ],
)
def test_odd_values_are_one_short_line(raw, place, value, words):
    with pytest.raises(ValueError, match=words) as caught:
        params.parse(params.Params, changed(raw, place, value), "")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


def test_shell_lines_of_slurm_may_have_ends_and_tabs(raw):
    raw = changed(raw, "compute.slurm", {"setup": ["if true; then\n\tmodule load cuda\nfi"]})
    assert params.parse(params.Params, raw, "").compute.slurm.setup[0].endswith("fi")


def test_the_home_of_nobody_is_named(raw):
    split = {"annotations": "a.json", "images": "~nobody1/photos"}
    data = {"name": "photos", "source": "files", "annotations": "elsewhere"}
    data |= {"train": split, "val": {**split}}
    with pytest.raises(ValueError, match="'~nobody1/photos' starts in the home of somebody"):
        params.parse(params.Params, {**raw, "data": data}, "")
