"""The mirror's records are what the files say, and only of stages that belong to params.yaml."""

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import params as params_file
from pipeline.params import plain as configuration
from pipeline.runs import dvc_lock, identity
from pipeline.runs.digests import scan_file
from pipeline.runs.dvc_lock import stale_stages
from pipeline.runs.identity import INPUTS, chain_inputs
from pipeline.tracking import collect, datasets, lineage, scale, server, stamp
from pipeline.tracking.records import Project, clean

ROWS = (
    '{"step": 10, "epoch": 1, "loss": 2.5, "time": 0.5}\n'
    '{"step": 20, "epoch": 1, "loss": 2.0, "time": 0.25}\n'
)
ENVIRONMENT = {"stage": "train_classifier", "name": "bacl", "started": "2026-01-02T03:04:05+00:00"}
# As DVC writes it: inputs are files inside an output (weights), folders of outputs (metrics).
LOCK = """\
schema: '2.0'
stages:
  train_representation@bce:
    outs:
    - {path: models/bce, md5: aaa.dir}
  train_classifier@bacl:
    deps:
    - {path: models/bce/weights.pth, md5: DEP}
    outs:
    - {path: models/bacl, md5: bbb.dir}
  evaluate@bacl:
    deps:
    - {path: models/bacl, md5: bbb.dir}
    outs:
    - {path: reports/metrics/bacl.json, md5: ccc}
  evaluate@gone:
    outs:
    - {path: reports/metrics/gone.json, md5: ddd}
  report:
    deps:
    - {path: reports/metrics, md5: eee.dir}
"""
WEIGHTS_MD5 = hashlib.md5(b"weights").hexdigest()
DOWNSTREAM = {"train_classifier@bacl", "evaluate@bacl", "report"}


@pytest.fixture
def folder(tmp_path, root):
    """A project of which only bacl's classifier has been trained."""
    (tmp_path / "params.yaml").write_text((root / "params.yaml").read_text())
    write(tmp_path / "models/bacl/scalars.jsonl", ROWS)
    write(tmp_path / "models/bacl/environment.json", json.dumps(ENVIRONMENT | {"seconds": 2.5}))
    return tmp_path


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def project(folder, **more):
    params = params_file.load(folder / "params.yaml")
    splits = {"train": stamp.FileScan("d1", 4)}
    return Project(folder, params, splits, inputs=chain_inputs(params), **more)


def by_stage(project):
    return {record.name: record for record in collect.collect_stages(project)}


def test_a_training_is_read_from_its_files(folder):
    record = by_stage(project(folder))["train_classifier@bacl"]
    assert record.points == [
        ("epoch", 1.0, 10, 5000),
        ("loss", 2.5, 10, 5000),
        ("time", 0.5, 10, 5000),
        ("epoch", 1.0, 20, 7500),
        ("loss", 2.0, 20, 7500),
        ("time", 0.25, 20, 7500),
    ]
    assert record.ended - record.started == 2500
    assert record.params["from"] == "bce"
    assert record.params["loss.alpha"] == "0.85"


def test_a_pipeline_lasts_as_long_as_its_stages_not_from_the_first_to_the_last(folder):
    noted = ENVIRONMENT | {"started": "2025-01-02T03:04:05+00:00", "seconds": 1.5}
    write(folder / "models/bce/environment.json", json.dumps(noted))
    write(folder / "reports/metrics/bacl.json", "{}")
    write(folder / "reports/per_category/bacl.csv", "")
    os.utime(folder / "reports/metrics/bacl.json", (1.7e9, 1.7e9))  # git left this one alone
    here = project(folder)
    children = collect.collect_stages(here)
    parent = collect.collect_pipeline(here, children)
    assert parent.started == by_stage(here)["train_representation@bce"].started
    assert parent.lasted == 1500 + 2500
    assert by_stage(here)["evaluate@bacl"].lasted == 0


def test_a_damaged_line_is_named_and_the_rest_is_kept(folder):
    whole = by_stage(project(folder))["train_classifier@bacl"]
    write(folder / "models/bacl/scalars.jsonl", ROWS + '{"step": 30, "lo')
    damaged = project(folder)
    record = by_stage(damaged)["train_classifier@bacl"]
    assert (record.points, record.identity) == (whole.points, whole.identity)
    assert len(damaged.problems) == 1
    assert "scalars.jsonl line 3" in damaged.problems[0]


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("models/bacl/environment.json", '{"seconds": 3}', "it has no 'started'"),
        ("models/bacl/environment.json", '{"started": "yesterday"}', "Invalid isoformat string"),
        ("data/symbols/categories.csv", "id,name\n1,a\n", "it has no 'frequency'"),
    ],
)
def test_a_damaged_file_is_named_with_the_reason(folder, file, text, reason):
    write(folder / file, text)
    damaged = project(folder)
    by_stage(damaged)
    assert len(damaged.problems) == 1
    assert file in damaged.problems[0] and reason in damaged.problems[0]


@pytest.mark.parametrize("text", ['{"AP": 0.', "[1]", '"AP"'])
def test_a_damaged_metrics_file_leaves_the_other_methods(folder, text):
    write(folder / "reports/metrics/bce.json", text)
    write(folder / "reports/metrics/bacl.json", '{"AP": 0.5, "APr": null, "AR@300": 0.6}')
    damaged = project(folder)
    assert by_stage(damaged)["evaluate@bacl"].metrics == {"AP": 50.0, "AR300": 60.0}
    assert damaged.problems


def test_the_parent_shows_the_last_reported_method(folder):
    for method, ap in {"softmax": 0.1, "bacl": 0.2}.items():
        write(folder / f"reports/metrics/{method}.json", json.dumps({"AP": ap, "fixed/AP": ap}))
    here = project(folder)
    parent = collect.collect_pipeline(here, collect.collect_stages(here))
    assert parent.metrics == {
        "bacl/AP": 20.0,
        "bacl/fixed/AP": 20.0,
        "softmax/AP": 10.0,
    }
    assert not parent.finished


@given(st.floats(0, 1))
def test_percent_goes_back_to_the_fraction(fraction):
    assert scale.to_fraction(scale.to_percent(fraction), scale.TAG) == pytest.approx(
        fraction, rel=3e-16, abs=0
    )
    rounded = round(fraction, 13)
    assert scale.to_fraction(scale.to_percent(rounded), scale.TAG) == rounded
    assert scale.to_fraction(fraction, {}) == fraction
    assert scale.to_percent(0.07) == 7.0


def test_a_moved_checkout_stays_the_same_and_a_copy_is_another_one(tmp_path):
    first = tmp_path / "first"
    first.mkdir()
    identity = stamp.project_identity(first)
    assert stamp.project_identity(first) == identity
    moved = first.rename(tmp_path / "moved")
    assert stamp.project_identity(moved) == identity
    copy = Path(shutil.copytree(moved, tmp_path / "copy"))
    assert stamp.project_identity(copy) != identity
    assert stamp.project_identity(copy) == stamp.project_identity(copy)
    link = tmp_path / "link"
    link.symlink_to(moved)
    assert stamp.project_identity(link) == stamp.project_identity(moved) == identity
    write(moved / stamp.IDENTITY, f"{identity}\n")  # as older code wrote it
    assert stamp.project_identity(moved) == identity


def test_params_yaml_is_shown_without_where_it_ran(folder):
    text = (folder / "params.yaml").read_text()
    slurm = "compute:\n  gpus: 8\n  slurm: {setup: [export X=1]}\n"
    text = text.replace("compute: {gpus: auto, workers: 0}", slurm)
    shown = configuration.without_place(text)
    assert "setup" not in shown and "tracking" not in shown
    assert configuration.without_place(shown) == shown
    assert "loss: {type: fcbl, alpha: 0.85, prob_thr: 0.7, margin: true, weight: true}" in shown


def test_files_of_a_method_that_params_has_not_are_left_out(folder):
    write(folder / "reports/metrics/gone.json", '{"AP": 0.5}')
    assert "evaluate@gone" not in by_stage(project(folder))


@pytest.mark.parametrize(
    ("changed", "dep", "stale"),
    [
        ({}, WEIGHTS_MD5, set()),
        ({"params": {"method": {"loss": {"type": "fcbl", "alpha": 0.5}}}}, WEIGHTS_MD5, DOWNSTREAM),
        ({"code": "of another commit"}, WEIGHTS_MD5, DOWNSTREAM),
        ({"packages": {"torch": "2.0.0"}}, WEIGHTS_MD5, DOWNSTREAM),
        ({}, "of-the-old-representation", DOWNSTREAM),
    ],
)
def test_outputs_of_other_params_code_or_inputs_are_stale(folder, changed, dep, stale):
    write(folder / "models/bce/weights.pth", "weights")
    write(folder / "dvc.lock", LOCK.replace("DEP", dep))
    params = params_file.load(folder / "params.yaml")
    stages, today = dvc_lock.locked_stages(folder, params), chain_inputs(params)
    ran_with = {"train_classifier.bacl": today["train_classifier@bacl"] | changed}
    stages["train_classifier@bacl"]["params"] = {str(INPUTS): ran_with}
    scanner = stamp.FileScanner({})
    found = stale_stages(stages, today, lambda path: scanner.md5_of(folder / path))
    assert found == stale
    records = by_stage(project(folder, stale=found))
    assert ("train_classifier@bacl" in records) == (not stale)


def test_a_running_training_is_read_from_where_it_writes(folder):
    scalars = folder / ".checkpoints/x/scalars.jsonl"
    write(scalars, ROWS.replace("2.0", "7.0"))
    running = project(folder, stale={"train_classifier@bacl"}, running={"bacl": scalars})
    record = by_stage(running)["train_classifier@bacl"]
    assert ("loss", 7.0, 20, 7500) in record.points
    assert not record.finished


def test_the_hash_ignores_where_the_work_runs_and_sees_everything_else(folder):
    text = (folder / "params.yaml").read_text()

    def hash_of(changed, digest="d"):
        write(folder / "changed.yaml", changed)
        inputs = chain_inputs(params_file.load(folder / "changed.yaml"))
        return identity.configuration(inputs, {"train": digest})

    same = hash_of(text)
    assert hash_of(text.replace("workers: 1", "workers: 2")) == same
    assert hash_of(text.replace("experiment: bacl", "experiment: other")) == same
    assert hash_of(text.replace("alpha: 0.85", "alpha: 0.5")) != same
    assert hash_of(text, "e") != same


def test_seeds_of_a_configuration_are_one_group_and_other_settings_another(folder):
    text = (folder / "params.yaml").read_text()

    def group_of(*edit):
        write(folder / "params.yaml", text.replace(*edit))
        return collect.group_tags(project(folder))["group"]

    same = group_of("", "")
    assert group_of("\nseed: 0", "\nseed: 7") == same
    assert same.startswith("bacl · symbols · ")
    for edit in (("alpha: 0.85", "alpha: 0.5"), ("epochs: 9", "epochs: 10")):
        assert group_of(*edit) != same


def test_the_parent_tells_hashes_commit_and_machine(folder):
    noted = {"git_commit": "abc", "git_dirty": True, "python": "3.11.2", "device": "a CPU"}
    write(folder / "models/bacl/environment.json", json.dumps(ENVIRONMENT | noted))
    locked = {"evaluate@bacl": "reports/metrics/bacl.json ccc"}
    here = project(folder, locked=locked)
    tags = collect.collect_pipeline(here, collect.collect_stages(here)).tags
    wanted = {
        "mlflow.source.git.commit": "abc",
        "git.commit": "abc",
        "git.dirty": "True",
        "environment.python": "3.11.2",
        "environment.device": "a CPU",
        "dvc.evaluate.bacl": "reports/metrics/bacl.json ccc",
        "seed": "0",
    }
    assert tags.items() >= wanted.items()


def test_hashes_are_those_of_stages_that_are_current(folder):
    write(folder / "dvc.lock", LOCK)
    stages = dvc_lock.locked_stages(folder, params_file.load(folder / "params.yaml"))
    found = lineage.locked_outputs(stages, {"evaluate@bacl"})
    assert found == {
        "train_representation@bce": "models/bce aaa.dir",
        "train_classifier@bacl": "models/bacl bbb.dir",
    }


def test_a_diagnosis_belongs_to_the_evaluation_unless_it_is_old(folder):
    write(folder / "reports/metrics/bacl.json", "{}")
    write(folder / "reports/diagnosis/bacl/plots/errors.svg", "<svg/>")
    (found,) = by_stage(project(folder))["evaluate@bacl"].artifacts
    assert (found[0].name, found[1]) == ("errors.svg", "reports/diagnosis/bacl/plots")
    assert not by_stage(project(folder, stale={"diagnose@bacl"}))["evaluate@bacl"].artifacts


def sources(preset, root):
    return {
        split: datasets.source_of(params_file.load(preset).data, split, root)
        for split in ("train", "val")
    }


def test_the_data_come_from_a_generator_an_address_or_a_file(folder, root):
    kind, made = sources(root / "params.yaml", folder)["train"]
    assert (kind, made["tags"]["mlflow.source.name"]) == (
        "code",
        "pipeline/data/sources/symbols.py",
    )
    assert made["tags"]["seed"] == "0"
    kind, fetched = sources(root / "configs/presets/lvis_v1_r50.yaml", folder)["val"]
    assert kind == "http"
    assert fetched["url"].endswith("/lvis_v1_val.json.zip")
    kind, own = sources(root / "configs/presets/own_data.yaml", folder)["val"]
    assert (kind, own["uri"].endswith(".json")) == ("local", True)


def test_the_run_name_tells_what_differs_from_the_defaults(folder):
    text = (folder / "params.yaml").read_text()
    write(folder / "params.yaml", text.replace("alpha: 0.85", "alpha: 0.5"))
    params = params_file.load(folder / "params.yaml")
    assert configuration.run_name(params) == "bacl, alpha 0.5 · seed 0 · symbols"


def test_images_are_counted_across_the_borders_of_reading(tmp_path):
    path = tmp_path / "train.json"
    images = [{"id": i, "neg_category_ids": [1]} for i in range(200_000)]
    boxes = [{"bbox": [i, 1, 2, 3], "segmentation": []} for i in range(100_001)]
    path.write_text(json.dumps({"images": images, "annotations": boxes}))
    assert path.stat().st_size > 1 << 22
    scan = scan_file(path)
    assert (scan.images, scan.boxes) == (200_000, 100_001)


def test_the_mirrors_own_entry_in_dvc_lock_is_no_change(folder):
    def digest_with(text):
        write(folder / "dvc.lock", text)
        return stamp.state_digest(folder, "uri", "experiment")

    own = "  track:\n    cmd: python -m stages.track\n    deps:\n    - path: reports\n"
    before = digest_with(LOCK)
    assert digest_with(LOCK + own) == before
    assert digest_with(LOCK.replace("bbb", "ddd") + own) != before


def test_relative_sqlite_paths_belong_to_the_project(tmp_path):
    for uri in ("sqlite", "sqlite:///mlflow.db", f"sqlite:///{tmp_path}/mlflow.db"):
        assert server.resolve_uri(uri, tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"


def test_a_password_is_not_printed():
    assert server.printable("http://me:secret@host:5000/x") == "http://host:5000/x"


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text("abc", min_size=1), st.integers(), max_size=3), st.text("xyz"))
def test_flat_keys_lead_back_to_the_values(values, outer):
    flat = configuration.flatten({outer: values})
    assert flat == {f"{outer}.{key}": str(value) for key, value in values.items()}


@pytest.mark.parametrize(("name", "cleaned"), [("AR@300", "AR300"), ("AP (fixed) %", "AP fixed ")])
def test_metric_names_are_those_mlflow_takes(name, cleaned):
    assert clean(name) == cleaned


def test_an_import_is_recorded_without_a_training(folder):
    text = (folder / "params.yaml").read_text()
    block = "pretrained: {official: {weights: official.pth, loss: {type: fcbl}}}\n"
    (folder / "params.yaml").write_text(text + block)
    noted = {"started": ENVIRONMENT["started"], "stage": "import_checkpoint", "sha256": "0a"}
    write(folder / "models/official/environment.json", json.dumps(noted))
    here = project(folder)
    record = by_stage(here)["import_checkpoint@official"]
    assert not here.problems
    assert record.finished and record.started and not record.points
    assert record.tags["environment.sha256"] == "0a"
    assert record.params["weights"] == "official.pth"


def test_the_possibility_of_an_import_makes_no_new_configuration(folder):
    params = params_file.load(folder / "params.yaml")
    assert params.pretrained == {}
    assert "pretrained" not in configuration.resolved(params)
