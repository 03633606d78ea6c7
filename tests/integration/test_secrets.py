"""Secrets, planted wherever a user may have them, reach no mirror, report, output or message."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from file_server import running
from finished_runs import git
from mlflow.tracking import MlflowClient
from report_project import PARAMS, make_project
from tracking_project import Server, write

from pipeline.tracking.background import CODE

MARK = "Xq7zz"  # every secret starts with it
LOOKED_FOR = MARK.encode()


def secret(what):
    return f"{MARK}-{what}"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture
def web():
    """Serves a file whose address has a token."""
    with running() as started:
        yield started


@pytest.fixture
def project(root, tmp_path, server, web):
    model = web.put(f"model.pth?token={secret('token')}", b"weights")
    folder = tmp_path / "project"
    folder.mkdir()
    make_project(folder)
    shutil.copy(folder / "data/blocks/val.json", folder / "data/blocks/train.json")
    settings = f"""
seed: 0
data: {{name: blocks, source: lvis, version: v1, root: elsewhere,
  urls: {{train_images: "https://me:{secret("urls")}@host/a.zip?sig={secret("sig")}"}}}}
pretrained:
  official: {{weights: "{model}", loss: {{type: fcbl}}}}
compute:
  slurm:
    setup: [export WHATEVER={secret("setup")}, "curl https://me:{secret("curl")}@host/x"]
    options: {{comment: "{secret("comment")}"}}
tracking: {{uri: "{server.uri.replace("//", f"//me:{secret('uri')}@")}", experiment: secrets}}
"""
    text = "\n".join(line for line in PARAMS.splitlines() if not line.startswith("data:"))
    text = text.replace("gallery_images: 4", "gallery_images: 0")
    weights = f'weights: "https://host/r50.pth?X-Amz-Signature={secret("weights")}"'
    text = text.replace("detector: {", f"detector: {{{weights}, ")
    write(folder / "params.yaml", text + settings)
    write(folder / "dvc.lock", f"schema: '2.0'\n# https://me:{secret('lock')}@host/x\n")
    write(folder / "dvc.yaml", f"stages: {{}} # https://me:{secret('yaml')}@host/x\n")
    for method in ("softmax", "bce", "bacl"):
        write(folder / f"models/{method}/weights.pth", f"weights of {method}")
        config = f"model = dict(roi_head=dict(a='https://me:{secret('config')}@host/x'))\n"
        write(folder / f"models/{method}/config.py", config)
    git(folder, "init", "--quiet")
    git(folder, "remote", "add", "origin", f"https://me:{secret('remote')}@host/a.git")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", "start")
    return folder


def run(project, *command):
    """What the command printed."""
    environment = os.environ | {
        "PYTHONPATH": str(CODE),
        "TORCH_HOME": str(project.parent / "torch"),
        "MLFLOW_TRACKING_USERNAME": "me",
        "MLFLOW_TRACKING_PASSWORD": secret("password"),
        "AWS_SECRET_ACCESS_KEY": secret("aws"),
    }
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=project, env=environment, capture_output=True,
        text=True, timeout=200,
    )  # fmt: skip
    return done.stdout + done.stderr


def with_secret(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [str(path) for path in files if LOOKED_FOR in path.read_bytes()]


def test_mirror_report_and_messages_hold_no_secret(project, server):
    outputs = [
        run(project, "stages.check"),
        run(project, "stages.fetch_checkpoint", "official"),
        run(project, "stages.seeds"),
        run(project, "stages.report"),
        run(project, "stages.track"),
        run(project, "pipeline.tracking", "sync"),
        run(project, "pipeline.comparison", "mlflow:secrets", "workspace", "--metrics", "AP"),
        run(project, "stages.prepare"),  # fails: there are no files
    ]
    assert "error: " not in outputs[3], outputs[3]
    assert "mirrored 1 pipeline run" in outputs[4], outputs[4]
    assert "3 models" in outputs[4]
    assert "written: reports/comparisons" in outputs[6], outputs[6]
    assert "error: " in outputs[7]
    assert MARK not in "".join(outputs)
    assert (project / "pretrained/official.json").is_file()
    for folder in ("pretrained", "reports", ".checkpoints"):
        assert with_secret(project / folder) == []
    assert [
        path for path in project.glob(".mlflow-mirror.*") if LOOKED_FOR in path.read_bytes()
    ] == []
    client = MlflowClient(tracking_uri=server.uri)
    assert len(client.search_model_versions()) == 3
    assert with_secret(server.folder) == []
    text = (project / "reports/index.html").read_text()
    assert "X-Amz-Signature=***" in text
    (parent,) = client.search_runs(
        [client.get_experiment_by_name("secrets").experiment_id], "tags.kind = 'pipeline'"
    )
    assert parent.data.params["data.urls.train_images"] == "https://me:***@host/a.zip?sig=***"
    params = Path(client.download_artifacts(parent.info.run_id, "params.yaml")).read_text()
    assert "setup" not in params and "official" in params


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("https://me", "ftp://me", "data.urls.train_images is 'ftp://me:***@host/a.zip"),
        ("http://me", "postgresql://me", "tracking.uri is 'postgresql://me:***@"),
        ("http://me", "mongodb://me", "tracking.uri is 'mongodb://me:***@"),
        ("model.pth?", "absent.pth?", "absent.pth?token=***"),
    ],
)
def test_a_message_about_an_address_shows_no_secret(project, old, new, words):
    text = (project / "params.yaml").read_text()
    write(project / "params.yaml", text.replace(old, new))
    output = run(project, "stages.fetch_checkpoint", "official")
    assert words in output
    assert MARK not in output


def test_a_new_password_is_no_new_configuration(project, server):
    run(project, "stages.track")
    text = (project / "params.yaml").read_text()
    write(project / "params.yaml", text.replace(secret("weights"), secret("rotated")))
    run(project, "stages.track")
    client = MlflowClient(tracking_uri=server.uri)
    number = client.get_experiment_by_name("secrets").experiment_id
    hashes = [
        run.data.tags["config_hash"]
        for run in client.search_runs([number], "tags.kind = 'pipeline'")
    ]
    assert len(set(hashes)) == 1
