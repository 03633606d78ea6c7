"""What an edit makes the chain run again: the stages whose result it can change, and no others.

A copy of the project under real DVC, whose stage `check` is the real one; the others copy results.
Most edits are judged by the entries that `check` writes, against dvc.lock; a few by DVC itself,
which takes it from there.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from copied_chain import chain, run
from finished_runs import dump, git
from ruamel.yaml import YAML

from pipeline.files import read_json
from pipeline.params import load, settings
from pipeline.runs.dvc_lock import recorded
from pipeline.runs.identity import chain_inputs, nested

ALWAYS = {"check", "seeds", "track"}
METHODS = ("softmax", "bce", "bacl", "norcal")
TRAINED = {"train_representation@softmax", "train_representation@bce", "train_classifier@bacl"}
MADE = {*TRAINED, "calibrate@norcal"}
PREDICTED, EVALUATED, DIAGNOSED = (
    {f"{stage}@{method}" for method in METHODS} for stage in ("predict", "evaluate", "diagnose")
)
SILENT = (  # of another method, or where no number is made
    "pipeline/weights/import_checkpoint.py",
    "pipeline/detection/losses/seesaw.py",
    "pipeline/detection/samplers/repeat_factor.py",
    "pipeline/detection/families/one_stage.py",
    "pipeline/detection/dense_head.py",
    "pipeline/data/sources/lvis.py",
    "pipeline/evaluation/__main__.py",
    "configs/detectors/faster_rcnn_r50_fpn.py",
    "pipeline/compute/complete.py",
    "pipeline/compute/checkpoints.py",
    "pipeline/tracking/sync.py",
    "pipeline/comparison/compare.py",
    "pipeline/command_line.py",
    "stages/track.py",
    "stages/check.py",
)
# of stages/check.py what makes the entries, without the detectors that it builds
ENTRIES = """
from pipeline.params import load, settings
from pipeline.runs.identity import chain_inputs, write_inputs
write_inputs(chain_inputs(load()))
"""
PARAMS = """
data: {name: symbols, source: symbols, categories: 5, train_images: 10, val_images: 4}
detector: {config: base_of_another, image_scale: [64, 64], weights: weights.pth}
train: {batch_size: 2, learning_rate: 0.01}
representation:
  softmax: {loss: {type: cross_entropy}, epochs: 1}
  bce: {loss: {type: bce}, epochs: 1, weight_decay: 5.0e-5}
classifier:
  bacl: {from: bce, loss: {type: fcbl}, features: {type: hallucination}, epochs: 1}
calibration:
  norcal: {from: softmax, type: norcal, gamma: 0.6}
report: {methods: [softmax, bce, bacl, norcal], baseline: softmax}
"""


@pytest.fixture(scope="module")
def finished(root, tmp_path_factory):
    """The project after a whole `dvc repro`."""
    folder = tmp_path_factory.mktemp("stale")
    project, results = folder / "project", folder / "results"
    for name in ("pipeline", "stages", "configs"):
        hidden = shutil.ignore_patterns("__pycache__", ".*")
        shutil.copytree(root / name, project / name, ignore=hidden)
    base = project / "configs/detectors/base_of_another.py"
    base.write_text('_base_ = ["faster_rcnn_r18_fpn.py", "second_base.py"]\n')
    base.with_name("second_base.py").write_text("anything = 18\n")
    (project / "weights.pth").write_text("one")
    (project / "params.yaml").write_text(PARAMS)
    for path in (
        *("data/symbols/categories.csv", "reports/data/symbols.html", "reports/seeds.json"),
        *(f"models/{method}/{file}" for method in METHODS for file in ("weights.pth", "config.py")),
        *(f"predictions/{method}.parquet" for method in METHODS),
        *(f"reports/metrics/{method}.json" for method in METHODS),
        *(f"reports/per_category/{method}.csv" for method in METHODS),
        *(f"reports/diagnosis/{method}/a.csv" for method in METHODS),
        *("reports/plots/a.svg", "reports/index.html", "reports/summary.json"),
        *(f"reports/ap_by_frequency.{kind}" for kind in ("csv", "md", "tex")),
        *(f"reports/over_seeds.{kind}" for kind in ("csv", "md", "tex")),
    ):
        (results / path).parent.mkdir(parents=True, exist_ok=True)
        (results / path).write_text("{}")
    dump(project / "dvc.yaml", chain(root, results, computed=("check",)))
    git(project, "init", "--quiet")
    run(project, "dvc", "init", "--quiet")
    assert stages_run(project) == {"prepare", *MADE, *PREDICTED, *EVALUATED, *DIAGNOSED, "report"}
    assert stages_run(project) == set()
    assert stale(project) == set()
    return project


@pytest.fixture
def project(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / "project", symlinks=True))


def stages_run(project, **variables):
    """What `dvc repro` ran, but for the stages that it always runs."""
    text = run(project, "dvc", "repro", **variables).stdout
    return set(re.findall(r"^Running stage '([^']+)'", text, re.MULTILINE)) - ALWAYS


def stale(project, **variables):
    """The stages whose entry, as the project's own code makes it, is not the one of dvc.lock."""
    run(project, sys.executable, "-c", ENTRIES, **variables)
    return differing(project, read_json(project / "data/inputs.json"))


def stale_by_reading(project):
    """The same from this process, which reads the project's code and does not run it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        patch.setattr(settings, "DETECTORS", project / "configs/detectors")
        return differing(project, nested(chain_inputs(load(), project)))


def differing(project, now):
    locked = YAML(typ="safe").load(project / "dvc.lock")["stages"]
    entries = {name: recorded(locked, name) for name in locked}
    return {name for name, entry in entries.items() if entry and entry != look_up(now, name)}


def look_up(inputs, place):
    stage, _, name = place.partition("@")
    return inputs[stage][name] if name else inputs[stage]


def replace(project, path, old, new):
    file = project / path
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def add_code(project, path):
    with open(project / path, "a", encoding="utf-8") as file:
        file.write("\nADDED = 1\n")


@contextlib.contextmanager
def ending_in(text, file):
    """``file`` with ``text`` at its end, for as long as the block takes."""
    whole = file.read_bytes()
    file.write_bytes(whole + text)
    try:
        yield
    finally:
        file.write_bytes(whole)


@pytest.mark.parametrize(
    ("path", "old", "new", "expected"),
    [
        ("pipeline/params/settings.py", "limited(0.5, low=0, high=1)",
         "limited(0.6, low=0, high=1)", {*PREDICTED, "report"}),
        ("pipeline/params/methods.py", "weight_decay: float = limited(1e-4",
         "weight_decay: float = limited(2e-4",
         {"train_representation@softmax", "train_classifier@bacl", "report"}),
        ("pipeline/detection/losses/fcbl.py", "within(0, 1)] = 0.7", "within(0, 1)] = 0.8",
         {"train_classifier@bacl", "predict@bacl", "report"}),
        ("pipeline/detection/features/hallucination.py", "within(1)] = 8", "within(1)] = 9",
         {"train_classifier@bacl", "predict@bacl", "report"}),
        ("params.yaml", "gamma: 0.6", "gamma: 0.5", {"calibrate@norcal", "report"}),
        ("params.yaml", "batch_size: 2", "batch_size: 4", {*TRAINED, "report"}),
        ("params.yaml", "baseline: softmax", "baseline: bce", {"report"}),
        ("params.yaml", "epochs: 1}", "epochs: 1} # the same", set()),
    ],
)  # fmt: skip
def test_settings_and_defaults(project, path, old, new, expected):
    """The report shows all settings, the defaults too."""
    replace(project, path, old, new)
    assert stale(project) == expected


@pytest.mark.parametrize(
    ("package", "expected"),
    [
        ("torch", {*MADE, *PREDICTED}),
        ("onedl-mmdetection", {*MADE, *PREDICTED}),
        ("hotcoco", {"prepare", *MADE, *PREDICTED, *EVALUATED, *DIAGNOSED, "report"}),
        ("tqdm", set()),
        ("mlflow", set()),
    ],
)
def test_another_version_of_a_package(project, tmp_path, package, expected):
    """Whatever comes first on Python's path is what is imported."""
    name = package.replace("-", "_")
    info = tmp_path / "newer" / f"{name}-99.0.dist-info" / "METADATA"
    info.parent.mkdir(parents=True)
    info.write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 99.0\n")
    path = os.pathsep.join(filter(None, [str(tmp_path / "newer"), os.environ.get("PYTHONPATH")]))
    assert stale(project, PYTHONPATH=path) == expected


def test_another_file_behind_detector_weights(project):
    (project / "weights.pth").write_text("two")
    assert stale(project) == TRAINED
    assert stages_run(project) == TRAINED
    assert stages_run(project) == set()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("pipeline/training/train.py", TRAINED),
        ("pipeline/training/class_history.py", TRAINED),
        ("pipeline/training/loop.py", TRAINED),
        ("pipeline/training/predict.py", PREDICTED),
        ("pipeline/weights/fetch.py", TRAINED),
        ("pipeline/detection/precision.py", {*MADE, *PREDICTED}),
        ("pipeline/detection/losses/fcbl.py", {"train_classifier@bacl", "predict@bacl"}),
        ("pipeline/detection/losses/cross_entropy.py",
         {"train_representation@softmax", "calibrate@norcal", "predict@softmax",
          "predict@norcal"}),
        ("pipeline/detection/calibrations/norcal.py", {"calibrate@norcal", "predict@norcal"}),
        ("pipeline/detection/families/two_stage.py", {*MADE, *PREDICTED}),
        ("pipeline/data/index.py", {"prepare", *MADE, *PREDICTED}),
        ("pipeline/data/sources/symbols.py", {"prepare"}),
        ("pipeline/evaluation/average_precision.py", {*EVALUATED, *DIAGNOSED}),
        ("pipeline/diagnosis/bootstrap.py", DIAGNOSED),
        ("configs/detectors/second_base.py", TRAINED),
        ("pipeline/reporting/data_page.py", {"prepare"}),
        ("pipeline/reporting/page.py", {"report"}),
        ("pipeline/reporting/sections/cost.py", {"report"}),
        ("pipeline/tables/ap.py", {"report"}),
        *((f"stages/{stage}.py", {name for name in [*MADE, *PREDICTED, *EVALUATED, *DIAGNOSED,
                                                   "prepare", "report"]
                                  if name.partition("@")[0] == stage})
          for stage in ("prepare", "train_representation", "train_classifier", "calibrate",
                        "predict", "evaluate", "diagnose", "report")),
    ],
)  # fmt: skip
def test_code(finished, path, expected):
    with ending_in(b"\nADDED = 1\n", finished / path):
        found = stale_by_reading(finished)
    found -= set() if "report" in expected else {"report"}
    assert found == expected


def test_code_that_changes_no_result(project):
    for path in SILENT:
        add_code(project, path)
    assert stale_by_reading(project) == set()
    add_code(project, "pipeline/runs/identity.py")
    assert stale_by_reading(project) <= {"report"}  # which shows what it says of finished runs


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("pipeline/reporting/data_page.html.j2", {"prepare"}),
        ("pipeline/reporting/sections/cost.html.j2", {"report"}),
        ("pipeline/pages/template.css", {"prepare", "report"}),
    ],
)
def test_templates(finished, path, expected):
    with ending_in(b"\n", finished / path):
        assert stale_by_reading(finished) == expected


def test_comments_docstrings_and_layout_anywhere(project):
    for path in [*project.glob("pipeline/**/*.py"), *project.glob("stages/*.py")]:
        text = path.read_text(encoding="utf-8")
        text = text.replace('"""', '"""Otherwise said. ', 1) if text.startswith('"""') else text
        path.write_text(f"{text}\n\n\n# said by the way\n", encoding="utf-8")
    assert stale_by_reading(project) == set()


def test_an_experiment_of_changed_params_runs_what_it_must(project):
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "finished")
    command = ("dvc", "exp", "run", "-S", "calibration.norcal.gamma=0.1")
    text = run(project, *command).stdout
    assert set(re.findall(r"^Running stage '([^']+)'", text, re.MULTILINE)) - ALWAYS == {
        "calibrate@norcal", "report"
    }  # fmt: skip


def test_stages_get_nothing_that_is_not_in_their_entry(root, tmp_path):
    code = (
        "from pipeline.params import load; from pipeline.params.scope import view\n"
        "seen = view(load(), 'predict', 'bacl')\n"
        "print(seen.predict.nms_iou, list(seen.methods()), hasattr(seen, 'train'))"
    )
    done = subprocess.run(
        [shutil.which("python"), "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout == "0.5 ['bce', 'bacl'] False\n"
