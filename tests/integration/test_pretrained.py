"""A checkpoint from elsewhere beside a trained method, through real `dvc repro`.

The tests of this file run in order on one copy of the project.
"""

import functools
import http.server
import json
import os
import re
import subprocess
import sys
import threading
from collections import OrderedDict
from pathlib import Path

import mlflow
import pandas as pd
import pytest
import torch
from ruamel.yaml import YAML

from pipeline import presets
from pipeline.params import load
from pipeline.reporting.load import load_inputs
from pipeline.reporting.sections.cost import cost_rows

YAML_FILE = YAML()
DATA = {
    "name": "symbols",
    "source": "symbols",
    "categories": 12,
    "train_images": 32,
    "val_images": 12,
    "image_size": 96,
}
SCHEDULE = {"epochs": 1, "augmentation": {"flip": 0.0}}


@pytest.fixture(scope="module")
def project(root, tmp_path_factory):
    """A copy in which bce is trained; official.pth holds the same weights, as mmdet 2.x writes."""
    folder = tmp_path_factory.mktemp("pretrained") / "project"
    here = Path.cwd()
    os.chdir(root)
    try:
        presets.copy("smoke", folder)
    finally:
        os.chdir(here)
    set_params(
        folder,
        data=DATA,
        representation={"bce": {"loss": {"type": "bce"}, **SCHEDULE}},
        classifier={"bacl": {"from": "bce", "loss": {"type": "fcbl"}, **SCHEDULE}},
        report={"methods": ["bce"], "baseline": "bce", "gallery_images": 1},
        compute={"gpus": 0, "workers": 0},
    )
    dvc(folder, "repro", "predict@bce")
    write_official(folder, torch.load(folder / "models/bce/weights.pth", weights_only=True))
    return folder


def set_params(folder, **blocks):
    values = YAML_FILE.load(folder / "params.yaml")
    YAML_FILE.dump({**values, **blocks}, folder / "params.yaml")


def write_official(folder, state):
    names = pd.read_csv(folder / "data/symbols/categories.csv").name
    content = {"meta": {"mmdet_version": "2.28.2", "CLASSES": tuple(names)}}
    content["state_dict"] = OrderedDict((f"module.{k}", v) for k, v in state.items())
    torch.save(content, folder / "official.pth")


def dvc(folder, *arguments, ok=True):
    """Run dvc; returns what it printed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    more = {"PATH": path, "OMP_NUM_THREADS": "1", "TORCH_HOME": str(folder.parent / "torch")}
    done = subprocess.run(
        ["dvc", *arguments], cwd=folder, capture_output=True, text=True, timeout=900,
        env={**os.environ, **more, "no_proxy": "*"},
    )  # fmt: skip
    output = done.stdout + done.stderr
    assert (done.returncode == 0) == ok, output
    return output


def stages_run(output):
    always = {"check", "seeds", "track", "fetch_checkpoint@official"}
    return set(re.findall(r"Running stage '([^']+)'", output)) - always


def with_weights(weights):
    return {"official": {"weights": weights, "loss": {"type": "bce"}}}


def metrics(project, name):
    return json.loads((project / f"reports/metrics/{name}.json").read_text())


def test_it_is_evaluated_and_trained_from_like_a_method(project):
    set_params(
        project,
        pretrained=with_weights("official.pth"),
        classifier={"bacl": {"from": "official", "loss": {"type": "fcbl"}, **SCHEDULE}},
        report={"methods": ["bce", "official", "bacl"], "baseline": "bce", "gallery_images": 1},
    )
    output = dvc(project, "repro")
    assert "train_representation@bce" not in stages_run(output)
    assert "12 classes, in the order of the data" in output
    tables = [pd.read_parquet(project / f"predictions/{m}.parquet") for m in ("bce", "official")]
    pd.testing.assert_frame_equal(*tables)
    assert metrics(project, "official") == metrics(project, "bce")
    table = pd.read_csv(project / "reports/ap_by_frequency.csv")
    assert list(table.method) == ["bce", "official", "bacl"]
    page = (project / "reports/index.html").read_text(encoding="utf-8")
    assert "import_checkpoint" in page and "from official" in page
    costs = {
        row["method"]: row for row in cost_rows(load_inputs(load(project / "params.yaml"), project))
    }
    assert costs["official"]["stage"] == "import_checkpoint"
    assert costs["official"]["seconds"] is None
    assert costs["bacl"]["seconds"] > 0
    assert costs["bacl"]["total"] is None  # what the imported model cost is unknown
    frozen, trained = (
        torch.load(project / f"models/{m}/weights.pth", weights_only=True)
        for m in ("official", "bacl")
    )
    assert torch.equal(frozen["backbone.conv1.weight"], trained["backbone.conv1.weight"])


def test_mlflow_shows_the_import(project):
    client = mlflow.MlflowClient(f"sqlite:///{project}/mlflow.db")
    experiment = client.get_experiment_by_name("smoke").experiment_id
    condition = "tags.stage = 'import_checkpoint@official'"
    (run,) = client.search_runs([experiment], condition)
    assert run.info.status == "FINISHED"
    assert run.data.params["weights"] == "official.pth"
    assert len(run.data.tags["environment.sha256"]) == 64


def test_a_second_repro_imports_nothing(project):
    assert stages_run(dvc(project, "repro")) == set()


def test_a_file_that_changed_is_imported_again(project):
    state = torch.load(project / "models/bce/weights.pth", weights_only=True)
    state["roi_head.bbox_head.fc_cls.bias"] += 1
    write_official(project, state)
    again = {"import_checkpoint", "predict", "evaluate"}
    output = dvc(project, "repro", "evaluate@official")
    assert stages_run(output) == {f"{stage}@official" for stage in again}


def test_a_url_is_fetched_once_and_gives_the_same(project):
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=project)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/official.pth"
        set_params(project, pretrained=with_weights(url))
        output = dvc(project, "repro", "evaluate@official")
        assert stages_run(output) == {"import_checkpoint@official"}
        server.shutdown()
    noted = json.loads((project / "models/official/environment.json").read_text())
    assert noted["source"] == url
    assert stages_run(dvc(project, "repro", "evaluate@official")) == set()


def test_a_file_for_other_classes_is_one_line(project):
    state = torch.load(project / "models/bce/weights.pth", weights_only=True)
    for part in ("weight", "bias"):
        key = f"roi_head.bbox_head.fc_cls.{part}"
        state[key] = state[key][:-1]
    write_official(project, state)
    set_params(project, pretrained=with_weights("official.pth"))
    output = dvc(project, "repro", "import_checkpoint@official", ok=False)
    assert "error: official.pth scores 11 classes (and background), data/symbols has 12" in output
    assert "Traceback" not in output
