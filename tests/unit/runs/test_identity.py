"""What a stage's result follows from: settings, reached code, packages, files."""

import importlib.metadata
import os
import pickle
from dataclasses import replace

import pytest

from pipeline import params
from pipeline.data.places import ROOT
from pipeline.params.scope import READ, stages_of, view, what_it_reads
from pipeline.runs import closure, digests, identity

SHARED = ("data", "files.py", "percent.py", "__init__.py")
ROOMS = {
    "prepare": ("evaluation/groupings.py", "evaluation/__init__.py", "pages", "reporting"),
    "train_representation": ("detection", "training", "weights"),
    "train_classifier": ("detection", "training", "weights"),
    "import_checkpoint": ("detection", "weights", "training/start.py", "training/__init__.py"),
    "calibrate": ("detection", "training/calibrate.py", "training/start.py",
                  "training/__init__.py"),
    "predict": ("detection", "training/predict.py", "training/predict_task.py",
                "training/augmentation.py", "training/device.py", "training/start.py",
                "training/__init__.py"),
    "evaluate": ("evaluation",),
    "diagnose": ("evaluation", "diagnosis"),
}  # fmt: skip


@pytest.fixture
def settings(root, tmp_path):
    text = (root / "params.yaml").read_text(encoding="utf-8")
    text = text.replace("predict: {", CALIBRATION + "predict: {")
    text = text.replace("methods: [softmax", "methods: [norcal, theirs, softmax")
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    return params.load(tmp_path / "params.yaml")


CALIBRATION = """calibration: {norcal: {from: softmax, type: norcal, gamma: 0.5}}
pretrained: {theirs: {weights: a.pth, loss: {type: fcbl}}}
"""


def files_of(settings, stage, name):
    entries = identity.entry_points(settings, stage, name, ROOT)
    return closure.Code(ROOT).closure(entries, identity.CLOSED).files


@pytest.mark.parametrize("stage", ROOMS)
def test_a_stage_s_code_stays_inside_its_rooms(settings, stage):
    allowed = tuple(f"pipeline/{room}" for room in (*SHARED, *ROOMS[stage]))
    for name in stages_of(settings)[stage]:
        for file in files_of(settings, stage, name):
            inside = file.startswith((*allowed, "configs/detectors/", f"stages/{stage}.py"))
            assert inside, f"{stage}@{name} reaches {file}"


def test_every_stage_of_dvc_yaml_has_an_entry_or_runs_always(settings, root):
    from ruamel.yaml import YAML

    stages = YAML(typ="safe").load(root / "dvc.yaml")["stages"]
    watched = {
        name for name, stage in stages.items() if not stage.get("do", stage).get("always_changed")
    }
    assert watched == set(stages_of(settings)) == set(READ)
    for name in watched:
        (depends,) = stages[name].get("do", stages[name])["params"]
        assert list(depends) == [str(identity.INPUTS)]


def test_an_entry_has_versions_of_what_computes(settings):
    inputs = identity.chain_inputs(settings)
    trained = inputs["train_classifier@bacl"]["packages"]
    assert trained["torch"] == importlib.metadata.version("torch").partition("+")[0]
    assert {"onedl-mmdetection", "onedl-mmcv", "numpy", "pillow"} <= trained.keys()
    assert not {"tqdm", "psutil", "mlflow", "dvc"} & trained.keys()
    assert "torch" not in inputs["diagnose@bacl"]["packages"]


def test_settings_are_written_out_with_their_defaults(settings):
    entry = identity.stage_inputs(settings, "train_classifier", "bacl")["params"]
    assert entry["method"]["loss"]["weight_start_epoch"] == 0
    assert entry["method"]["from"] == "bce"
    assert entry["train"]["momentum"] is None
    assert set(entry) == {"seed", "detector", "train", "method"}


def test_what_a_method_does_not_read_changes_nothing(settings):
    before = identity.chain_inputs(settings)
    other = replace(settings, predict=replace(settings.predict, nms_iou=0.3))
    after = identity.chain_inputs(other)
    changed = {place for place in before if before[place] != after[place]}
    assert changed == {*(f"predict@{name}" for name in settings.report.methods), "report"}
    assert identity.chain_inputs(replace(settings, compute=params.Compute(workers=0))) == before


def test_only_the_seed_tells_seeds_apart(settings):
    one, two = (identity.chain_inputs(replace(settings, seed=seed)) for seed in (1, 2))
    assert one != two
    assert identity.without_seed(one) == identity.without_seed(two)
    data = {"train": "a", "val": "b"}
    assert identity.configuration(one, data) != identity.configuration(two, data)
    assert identity.configuration(one, data) != identity.configuration(one, {**data, "val": "c"})


def test_the_report_s_own_code_makes_no_other_configuration(settings):
    inputs = identity.chain_inputs(settings)
    rewritten = {**inputs, "report": {**inputs["report"], "code": "other"}}
    assert identity.configuration(rewritten, {}) == identity.configuration(inputs, {})
    fewer = {**inputs["report"], "params": {"report": {"methods": ["softmax"]}}}
    assert identity.configuration({**inputs, "report": fewer}, {}) != identity.configuration(
        inputs, {}
    )


def test_the_file_has_what_was_worked_out(settings, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    assert identity.read_inputs() == {}
    inputs = identity.chain_inputs(settings)
    identity.write_inputs(inputs)
    assert identity.read_inputs() == inputs
    for damaged in ("{half", "[1]", '{"prepare": 3}'):  # `check` writes it anew
        identity.INPUTS.write_text(damaged)
        assert identity.read_inputs() == {}


def test_a_stage_s_view_has_nothing_else(settings):
    seen = view(settings, "train_classifier", "bacl")
    assert list(seen.methods()) == ["bce", "bacl"]
    assert seen.ancestry("bacl") == ["bacl", "bce"]
    assert seen.train == settings.train
    for key in ("predict", "report"):  # no default steps in for what was not given
        with pytest.raises(AttributeError):
            getattr(seen, key)
    assert pickle.loads(pickle.dumps(seen)).seed == settings.seed
    assert what_it_reads(seen, "train_classifier", "bacl") == what_it_reads(
        settings, "train_classifier", "bacl"
    )


def test_a_digest_is_read_again_where_size_or_time_changed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "weights.pth"
    assert digests.known_digest(file) is None
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    file.write_bytes(b"one")
    first = digests.known_digest(file)
    monkeypatch.setattr(digests, "file_digest", lambda path: "read again")
    assert digests.known_digest(file) == first
    os.utime(file, ns=(1, 1))
    assert digests.known_digest(file) == "read again"
    (tmp_path / digests.NOTED).write_text("[half")
    assert digests.known_digest(file) == "read again"
