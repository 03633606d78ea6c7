"""Rows are told apart by what differs; a part that a method does without is "none"."""

import csv

import pytest
from finished_runs import metrics, settings

from pipeline.params import Params, parse, parts
from pipeline.runs.finished import Finished, Result
from pipeline.runs.grid import load_grid
from pipeline.tables.compared import Table, make_columns
from pipeline.tables.formats import to_csv
from pipeline.tables.rows import in_words, label_keys, make_rows, seed_of
from pipeline.tables.rows import settings as settings_of

HALLUCINATION = {"type": "hallucination"}


def run(values, name="a", ap=0.4, method="bacl"):
    return Finished(name, "", parse(Params, values, ""), {}, {method: Result(metrics(ap))})


def rows_of(*runs, method="bacl"):
    return make_rows([(one, method) for one in runs], {})


def with_features(features, **more):
    return run(settings(0, features=features, **more), str((features, more)))


def test_features_and_none_are_told_apart_by_their_type_alone():
    rows = rows_of(with_features(HALLUCINATION), with_features(None))
    assert label_keys(rows) == ["features.type"]
    assert [row.title for row in rows] == ["bacl, features hallucination", "bacl, features none"]


def test_left_out_and_null_are_one_row():
    assert len(rows_of(run(settings()), with_features(None))) == 1


def test_a_knob_that_differs_among_those_that_have_it_is_a_label():
    two = [HALLUCINATION | {"decay_ratio": ratio} for ratio in (0.1, 0.2)]
    rows = rows_of(*map(with_features, [*two, None]))
    assert label_keys(rows) == ["features.type", "features.decay_ratio"]
    assert [row.title for row in rows] == [
        "bacl, features hallucination, decay_ratio 0.1",
        "bacl, features hallucination, decay_ratio 0.2",
        "bacl, features none",
    ]


def test_losses_of_two_types_are_told_apart_by_these():
    rows = rows_of(run(settings()), run(settings(loss={"type": "bce"}), "b"))
    assert label_keys(rows) == ["loss.type"]
    assert [row.title for row in rows] == ["bacl, loss fcbl", "bacl, loss bce"]


def test_a_key_that_no_type_explains_is_a_label_also_where_a_row_has_it_not():
    imported = settings()
    imported["pretrained"] = {"bacl": {"weights": "x.pth", "loss": {"type": "fcbl"}}}
    del imported["classifier"]["bacl"]
    assert "weights" in label_keys(rows_of(run(settings()), run(imported, "b")))


@pytest.mark.parametrize(
    ("key", "text", "keys", "words"),
    [
        ("loss.margin", "false", [], "margin off"),
        ("features.type", "none", ["loss.type"], "features none"),
        ("representation.loss.type", "bce", ["loss.type"], "representation.loss.type bce"),
        ("type", "norcal", [], "type norcal"),
    ],
)
def test_in_words(key, text, keys, words):
    assert in_words(key, text, [key, *keys]) == words


def test_the_columns_of_the_ablation_of_the_parts(root, monkeypatch):
    """Six members over what is switched: two knobs of the loss and the features."""
    monkeypatch.chdir(root)
    members = load_grid(
        root / "configs/ablations/parts.yaml", root / "configs/presets/symbols.yaml"
    )
    results = {"bacl": Result(metrics(0.4))}
    rows = rows_of(*(Finished(m.label, "", m.params, {}, results) for m in members))
    labels = label_keys(rows)
    assert labels == ["loss.margin", "loss.weight", "features.type"]
    table = Table(rows, labels, make_columns(["AP"], rows), rows[0])
    shown = [line[2:5] for line in csv.reader(to_csv(table).splitlines())]
    assert shown[0] == labels
    switches = [["false", "false", "none"], ["true", "false", "none"], ["false", "true", "none"]]
    all_on = [["true", "true", "none"], ["false", "false", "hallucination"]]
    assert shown[1:7] == [*switches, *all_on, ["true", "true", "hallucination"]]
    assert [row.title for row in rows][::5] == [
        "bacl, margin off, weight off, features none",
        "bacl, margin on, weight on, features hallucination",
    ]


@pytest.fixture
def calibrated(tmp_path, monkeypatch):
    """params.yaml with a calibration of each of two methods."""
    text = '@MODELS.register_module(name="shift")\nclass S:\n    def __init__(self, by=0.5): ...\n'
    for kind in (parts.Loss, parts.Features):
        (tmp_path / kind.folder).symlink_to(parts.DETECTION / kind.folder)
    (tmp_path / "calibrations").mkdir()
    (tmp_path / "calibrations/shift.py").write_text(text)
    monkeypatch.setattr(parts, "DETECTION", tmp_path)

    def make(seed=0):
        values = settings(seed)
        values["pretrained"] = {"official": {"weights": "x.pth", "loss": {"type": "fcbl"}}}
        values["calibration"] = {
            name: {"from": start, "type": "shift"}
            for name, start in {"of_bacl": "bacl", "of_bce": "bce", "of_theirs": "official"}.items()
        }
        return values

    return make


def test_a_calibration_is_affected_by_all_it_starts_from(calibrated):
    found = settings_of(run(calibrated(), method="of_bacl"), "of_bacl")
    assert {key: found[key] for key in ("from", "type", "by")} == {
        "from": "bacl", "type": "shift", "by": "0.5",
    }  # fmt: skip
    assert found["classifier.loss.type"] == "fcbl"
    assert found["classifier.features.type"] == "none"
    assert found["representation.loss.type"] == "bce"
    of_bce = settings_of(run(calibrated(), method="of_bacl"), "of_bce")
    assert of_bce["representation.loss.type"] == "bce"
    assert not any(key.startswith("classifier.") for key in of_bce)


def test_what_nobody_trained_is_the_same_under_every_seed(calibrated):
    params = parse(Params, calibrated(seed=3), "")
    seeds = {name: seed_of(params, name) for name in params.methods()}
    assert [name for name, seed in seeds.items() if seed is None] == ["official", "of_theirs"]
    assert {seed for seed in seeds.values() if seed is not None} == {3}
