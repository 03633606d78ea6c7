"""Methods: one noun for four sections, and what must hold between them."""

import copy

import pytest
from ruamel.yaml import YAML

from pipeline import params
from pipeline.params import parts
from pipeline.params.parts import Predictor

WANTS = """
@MODELS.register_module(name="wants")
class Wants:
    block = {"prior": 0.02, "warmup_iters": 7, "clip_gradient": 35.0,
             "predictor": {"type": "cosine", "scale": 3}}

    def __init__(self, num_classes): ...
"""
PART = """
@MODELS.register_module(name="%s")
class Part:
    def __init__(self, %s): ...
"""


@pytest.fixture
def raw(root):
    """The default with a pretrained model."""
    text = (root / "params.yaml").read_text(encoding="utf-8")
    values = YAML(typ="safe", pure=True).load(text)
    return values | {"pretrained": {"theirs": {"weights": "x.pth", "loss": {"type": "bce"}}}}


def write(folder, name, text):
    folder.mkdir()
    (folder / f"{name}.py").write_text(text, encoding="utf-8")


@pytest.fixture
def calibrations(tmp_path, monkeypatch):
    """Beside the parts there are one calibration, `shift`."""
    for kind in (parts.Loss, parts.Features, parts.Predictor):
        (tmp_path / kind.folder).symlink_to(parts.DETECTION / kind.folder)
    write(tmp_path / "calibrations", "shift", PART % ("shift", "by: float = 0.5"))
    monkeypatch.setattr(parts, "DETECTION", tmp_path)


@pytest.fixture
def wants(tmp_path, monkeypatch):
    """Of losses only `wants`, which says what it wants of its block; of predictors `cosine`."""
    cosine = PART % ("cosine", "in_features, out_features, scale: float = 1.0")
    write(tmp_path / "losses", "wants", WANTS)
    write(tmp_path / "predictors", "cosine", cosine)
    monkeypatch.setattr(parts, "DETECTION", tmp_path)


def load(raw, **sections):
    return params.parse(params.Params, copy.deepcopy(raw) | sections, "")


def test_methods_stand_after_what_they_start_from(raw, calibrations):
    raw = {
        "calibration": {"shifted": {"from": "bacl", "type": "shift"}},
        "classifier": raw["classifier"] | {"again": raw["classifier"]["bacl"] | {"from": "theirs"}},
    } | {key: value for key, value in raw.items() if key != "classifier"}
    loaded = load(raw)
    assert list(loaded.methods()) == ["softmax", "bce", "theirs", "bacl", "again", "shifted"]
    before = set()
    for name, method in loaded.methods().items():
        assert method.start is None or method.start in before
        before.add(name)
    assert [method.stage for method in loaded.methods().values()] == [
        *["train_representation"] * 2, "import_checkpoint", *["train_classifier"] * 2, "calibrate",
    ]  # fmt: skip


def test_ancestry_ends_with_what_starts_from_nothing(raw, calibrations):
    loaded = load(raw, calibration={"shifted": {"from": "bacl", "type": "shift", "by": 1}})
    assert loaded.ancestry("shifted") == ["shifted", "bacl", "bce"]
    assert loaded.ancestry("bacl") == ["bacl", "bce"]
    assert loaded.ancestry("theirs") == ["theirs"]
    with pytest.raises(ValueError, match="unknown method 'other'"):
        loaded.ancestry("other")


def test_the_loss_of_a_calibration_is_that_of_its_weights(raw, calibrations):
    loaded = load(raw, calibration={"shifted": {"from": "bacl", "type": "shift"}})
    assert loaded.loss_of("shifted").type == "fcbl"
    assert loaded.loss_of("theirs").type == "bce"
    assert loaded.loss_of("softmax").type == "cross_entropy"


@pytest.mark.parametrize("start", ["softmax", "bce", "theirs", "bacl"])
def test_a_calibration_starts_from_any_method_with_weights(raw, calibrations, start):
    loaded = load(raw, calibration={"shifted": {"from": start, "type": "shift"}})
    assert loaded.method("shifted").start == start
    assert loaded.method("shifted").calibrator.as_yaml() == {"type": "shift", "by": 0.5}


def test_and_not_from_another_one(raw, calibrations):
    both = {"a": {"from": "bce", "type": "shift"}, "b": {"from": "a", "type": "shift"}}
    with pytest.raises(
        ValueError, match=r"^calibration\.b\.from is 'a', .*; allowed: softmax, bce"
    ):
        load(raw, calibration=both)


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("shift", r"calibration\.x is 'shift'; it takes a mapping with a type and `from`"),
        ({"type": "shift"}, r"calibration\.x is \{'type': 'shift'\}; it takes .* `from`"),
        ({"from": "bce"}, r"calibration\.x is .*; it takes a mapping with a type"),
        ({"from": ["bce"], "type": "shift"}, r"calibration\.x\.from is \['bce'\]; it takes a text"),
        ({"from": "bec", "type": "shift"}, r"calibration\.x\.from is 'bec'.*theirs, bacl"),
        ({"from": "bce", "type": "sihft"}, r"calibration\.x\.type is 'sihft'; allowed: shift"),
        (
            {"from": "bce", "type": "shift", "bi": 1},
            r"unknown key calibration\.x\.bi .*; allowed: type, by",
        ),
        ({"from": "bce", "type": "shift", "by": "x"}, r"calibration\.x\.by is 'x'; .* a number"),
    ],
)
def test_a_wrong_calibration_is_named(raw, calibrations, block, words):
    with pytest.raises(ValueError, match=words) as caught:
        load(raw, calibration={"x": block})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("start", ["softmax", "bce", "theirs"])
def test_a_classifier_starts_from_any_representation(raw, start):
    """Whether its loss fits the shapes is told where parts are built."""
    block = raw["classifier"]["bacl"] | {"from": start}
    assert load(raw, classifier={"bacl": block}).ancestry("bacl") == ["bacl", start]


def test_but_not_from_a_classifier(raw):
    both = raw["classifier"] | {"x": raw["classifier"]["bacl"] | {"from": "bacl"}}
    with pytest.raises(ValueError, match=r"^classifier\.x\.from is 'bacl', which is no method of"):
        load(raw, classifier=both)


PAIRS = [(a, b, name) for a in params.SECTIONS for b in params.SECTIONS for name in ("x", "X")]


@pytest.mark.parametrize(
    ("first", "second", "name"), [pair for pair in PAIRS if pair[0] != pair[1] or pair[2] == "X"]
)
def test_a_name_stands_once_over_all_sections(raw, calibrations, first, second, name):
    """Also on a disk that does not tell capitals apart."""
    blocks = {
        "representation": {"loss": {"type": "bce"}, "epochs": 1},
        "pretrained": {"weights": "x", "loss": {"type": "bce"}},
        "classifier": {"from": "bce", "loss": {"type": "bce"}, "epochs": 1},
        "calibration": {"from": "bce", "type": "shift"},
    }
    for section, key in ((first, "x"), (second, name)):
        raw = raw | {section: raw.get(section, {}) | {key: blocks[section]}}
    with pytest.raises(ValueError, match=r"rename one$") as caught:
        load(raw)
    assert first in str(caught.value) and second in str(caught.value)


@pytest.mark.parametrize("value", [{"enabled": False}, {"decay_ratio": 0.1}, None, "hallucination"])
def test_the_key_before_features_says_what_it_is_now(raw, value):
    block = raw["classifier"]["bacl"] | {"hallucination": value}
    with pytest.raises(
        ValueError, match=r"^classifier\.bacl\.hallucination is now features: "
    ) as caught:
        load(raw, classifier={"bacl": block})
    assert "{type: hallucination" in str(caught.value)
    assert "where `enabled` was false no features at all" in str(caught.value)


def test_in_a_representation_it_never_was_a_key(raw):
    raw["representation"]["bce"]["hallucination"] = {"enabled": False}
    with pytest.raises(ValueError, match=r"unknown key representation\.bce\.hallucination"):
        load(raw)


def trained(**keys):
    return {"representation": {"x": {"loss": {"type": "wants"}, "epochs": 1, **keys}}}


@pytest.fixture
def small(raw):
    kept = {key: raw[key] for key in ("data", "detector", "train")}
    return kept | {"report": {"methods": ["x"], "baseline": "x"}}


def test_a_loss_says_what_it_wants_of_its_block(small, wants):
    block = load(small, **trained()).method("x")
    assert (block.prior, block.warmup_iters, block.clip_gradient) == (0.02, 7, 35.0)
    assert block.predictor == Predictor("cosine", {"scale": 3.0})


def test_what_the_block_says_itself_counts(small, wants):
    keys = {"prior": 0.5, "warmup_iters": 0, "clip_gradient": 1, "predictor": {"type": "cosine"}}
    block = load(small, **trained(**keys)).method("x")
    assert (block.prior, block.warmup_iters, block.clip_gradient) == (0.5, 0, 1.0)
    assert block.predictor == Predictor("cosine", {"scale": 1.0})


def test_an_imported_model_has_the_predictor_of_its_loss(small, wants):
    loaded = load(small, **trained(), pretrained={"y": {"weights": "f", "loss": {"type": "wants"}}})
    assert loaded.method("y").predictor == Predictor("cosine", {"scale": 3.0})


def test_a_prior_is_refused_where_the_loss_has_none(raw):
    raw["representation"]["softmax"]["prior"] = 0.01
    with pytest.raises(
        ValueError, match=r"representation\.softmax\.prior has no effect on cross_en"
    ):
        load(raw)


def test_what_starts_afresh_must_learn(raw):
    block = raw["classifier"]["bacl"] | {"train": ["fc_cls"], "reinit": ["fc_cls", "rpn"]}
    with pytest.raises(ValueError, match=r"^classifier\.bacl\.reinit is \['fc_cls', 'rpn'\]"):
        load(raw, classifier={"bacl": block})
    block["reinit"] = ["fc_cls"]
    assert load(raw, classifier={"bacl": block}).method("bacl").train == ["fc_cls"]


def test_a_block_without_features_has_none(raw):
    del raw["classifier"]["bacl"]["features"]
    assert load(raw).method("bacl").features is None
    raw["classifier"]["bacl"]["features"] = None
    assert load(raw).method("bacl").features is None
