"""Final models in MLflow: mirrored to real stores, loaded by alias, served and asked over HTTP."""

import base64
import contextlib
import io
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import quick_tables  # noqa: F401
import torch
from mlflow.exceptions import MlflowException
from mlflow.models import validate_serving_input
from mlflow.protos.databricks_pb2 import BAD_REQUEST
from mlflow.tracking import MlflowClient
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from PIL import Image
from tiny_detector import add_masks
from tracking_project import Server, free_port, write

import pipeline.detection  # noqa: F401
from pipeline.params import load
from pipeline.tracking import background
from pipeline.tracking import sync as tracking_sync
from pipeline.training.recipe import build_config
from stages.predict import predict
from stages.prepare import prepare

BOXES, MASKS = "bce", "masks"
PARAMS = f"""
data: {{name: symbols, source: symbols, categories: 5, train_images: 10,
  val_images: 4, image_size: 64}}
detector: {{config: faster_rcnn_r18_fpn, image_scale: [48, 48]}}
train: {{batch_size: 4, learning_rate: 0.01}}
representation:
  {BOXES}: {{loss: {{type: bce}}, epochs: 1, prior: 0.2}}
  {MASKS}: {{loss: {{type: bce}}, epochs: 1, prior: 0.2}}
classifier: {{}}
predict: {{score_threshold: 0.0, max_per_image: 40}}
report: {{methods: [{BOXES}, {MASKS}], baseline: {BOXES}}}
compute: {{gpus: 0, workers: 0}}
tracking: {{experiment: tiny}}
"""
BUSY = 60  # seconds; the machine may be busy
EVERYTHING = {"score_threshold": 0.0, "max_per_image": 1000}
RULE = "highest AP on the val annotations that the newest version was evaluated on"


def write_model(folder, settings, method):
    """A detector that knows nothing, as the training publishes one."""
    init_default_scope("mmdet")
    config = build_config(settings, method, "")
    if method == MASKS:
        add_masks(config.model)
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.init_weights()
    folder.mkdir(parents=True)
    torch.save(model.state_dict(), folder / "weights.pth")
    config.dump(folder / "config.py")
    write(folder / "scalars.jsonl", '{"step": 1, "loss": 2.0}\n')
    environment = {"started": "2026-01-02T03:04:05+00:00", "seconds": 2.5, "git_commit": "c0ffee"}
    write(folder / "environment.json", json.dumps(environment))


def evaluated(folder, method, ap):
    write(folder / f"reports/metrics/{method}.json", json.dumps({"AP": ap, "fixed/AP": ap}))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder as a finished pipeline leaves it."""
    folder = tmp_path_factory.mktemp("finished") / "project"
    write(folder / "params.yaml", PARAMS)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DVC_ROOT", raising=False)
        patch.chdir(folder)
        prepare()
        for method in (BOXES, MASKS):
            write_model(folder / "models" / method, load(), method)
            predict(method)
            evaluated(folder, method, 0.3)
    return folder


@pytest.fixture(autouse=True)
def own_import_path(monkeypatch):
    """MLflow puts a loaded model's copy of ``pipeline`` before the project's, for good: the
    processes that later tests start would import that."""
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture
def project(finished, tmp_path, monkeypatch):
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return shutil.copytree(finished, tmp_path / "project")


@pytest.fixture(scope="module")
def mirrored(finished):
    """A copy with its models in mlflow.db."""
    folder = shutil.copytree(finished, finished.with_name("mirrored"))
    assert sync(folder) == ""
    return folder


def sync(project, **options):
    """What a sync in this process warns of."""
    err = io.StringIO()
    with contextlib.redirect_stderr(err):
        tracking_sync.sync(project, **options)
    return "".join(line for line in err.getvalue().splitlines(True) if "INFO mlflow" not in line)


def client_of(project):
    return MlflowClient(tracking_uri=f"sqlite:///{project}/mlflow.db")


def versions(client, method):
    found = client.search_model_versions(f"name = '{method}'")
    return sorted(found, key=lambda version: int(version.version))


def best(client, method):
    return int(client.get_model_version_by_alias(method, "best").version)


def loaded(uri, method):
    mlflow.set_tracking_uri(uri)
    try:
        return mlflow.pyfunc.load_model(f"models:/{method}@best")
    finally:
        mlflow.set_tracking_uri(None)


def val_images(project):
    return sorted((project / "data/symbols/images/val").glob("*.png"))


def rows_of_predict(project, method):
    """predictions/<method>.parquet, by image, as the served model orders its rows."""
    table = pd.read_parquet(project / f"predictions/{method}.parquet")
    return [rows.reset_index(drop=True) for _, rows in table.groupby("image_id")]


def check_equal(answer, expected, tolerance):
    assert len(answer) == len(expected) > 10
    boxes = np.array(answer.box.tolist())
    assert np.abs(boxes - expected[["x", "y", "w", "h"]].to_numpy()).max() <= tolerance
    assert np.abs(answer.score.to_numpy() - expected.score.to_numpy()).max() <= tolerance
    assert answer.category_id.tolist() == expected.category_id.tolist()


@pytest.mark.parametrize(
    # images that are predicted one at a time, as masks are, give the same bits
    ("method", "tolerance"),
    [(BOXES, 1e-4), (MASKS, 0)],
)
def test_a_loaded_model_answers_what_predict_wrote(mirrored, method, tolerance):
    model = loaded(f"sqlite:///{mirrored}/mlflow.db", method)
    answers = model.predict(val_images(mirrored), params=EVERYTHING)
    categories = pd.read_csv(mirrored / "data/symbols/categories.csv").set_index("id")
    for number, expected in enumerate(rows_of_predict(mirrored, method)):
        answer = answers[answers.image == number].reset_index(drop=True)
        check_equal(answer, expected, tolerance)
        assert answer.score.is_monotonic_decreasing
        assert answer.name.tolist() == categories.name[answer.category_id].tolist()
        assert answer.frequency.tolist() == categories.frequency[answer.category_id].tolist()
        if method == MASKS:
            assert [m["counts"] for m in answer["mask"]] == expected.rle.tolist()
            assert all(m["size"] == [64, 64] for m in answer["mask"])
    assert ("mask" in answers) == (method == MASKS)


def test_every_kind_of_input_gives_the_same_answer(mirrored):
    model = loaded(f"sqlite:///{mirrored}/mlflow.db", BOXES)
    path = val_images(mirrored)[0]
    array = np.asarray(Image.open(path).convert("RGB"))
    expected = model.predict([path], params=EVERYTHING)
    assert len(expected) == 40
    for form in (
        str(path),
        path.read_bytes(),
        base64.b64encode(path.read_bytes()).decode(),
        path,
        array,
        [array],
        array[None],
        {"image": [array]},
        pd.DataFrame({"photo": [path]}),
        pd.Series([array]),
    ):
        pd.testing.assert_frame_equal(model.predict(form, params=EVERYTHING), expected)
    for two in ([array, path], np.stack([array, array]), pd.DataFrame({"image": [array, path]})):
        several = model.predict(two, params=EVERYTHING)
        assert several.image.value_counts().to_dict() == {0: 40, 1: 40}
    for wrong, words in ((array[..., 0], r"\[64, 64\]"), ("absent.jpg", "cannot be read")):
        with pytest.raises(mlflow.MlflowException, match=f"^image 1 of 1.*{words}"):
            model.predict(wrong)
    assert model.predict([]).empty


def test_params_cut_the_answer(mirrored):
    model = loaded(f"sqlite:///{mirrored}/mlflow.db", BOXES)
    path = val_images(mirrored)[0]
    everything = model.predict([path], params=EVERYTHING)
    threshold = float(everything.score.iloc[12])
    cut = model.predict([path], params={"score_threshold": threshold, "max_per_image": 1000})
    pd.testing.assert_frame_equal(cut, everything[everything.score >= threshold])
    assert len(model.predict([path], params={**EVERYTHING, "max_per_image": 3})) == 3
    nothing = model.predict([path], params={"score_threshold": 1.0})
    assert nothing.empty
    assert list(nothing) == list(everything)
    for wrong in ({"score_threshold": 1.5}, {"max_per_image": 0}, {"score_threshold": None}):
        with pytest.raises(mlflow.MlflowException, match="allowed: "):
            model.predict([path], params=wrong)


def test_what_mlflow_shows_of_a_model(mirrored):
    client = client_of(mirrored)
    (version,) = versions(client, BOXES)
    assert (version.status, best(client, BOXES)) == ("READY", 1)
    assert (version.tags["AP"], version.tags["scale"]) == ("30.0", "percent")
    assert version.tags["git_commit"] == "c0ffee"
    assert {"config_hash", "val_digest", "train_digest", "seed"} <= set(version.tags)
    assert RULE in client.get_registered_model(BOXES).description
    logged = client.get_logged_model(version.tags["model_id"])
    assert (logged.name, logged.status, logged.source_run_id) == (
        "bce",
        "READY",
        version.run_id,
    )
    assert {m.key: m.value for m in logged.metrics} == {"AP": 30.0, "fixed/AP": 30.0}
    assert {m.dataset_name for m in logged.metrics} == {"symbols/val"}
    run = client.get_run(version.run_id)
    assert run.data.tags["stage"] == f"train_representation@{BOXES}"
    assert [model.model_id for model in run.outputs.model_outputs] == [logged.model_id]
    (evaluation,) = client.search_runs(["1"], f"tags.stage = 'evaluate@{BOXES}'")
    assert len(client.get_metric_history(evaluation.info.run_id, "AP")) == 1


def test_a_model_holds_its_parts_and_nothing_pickled(mirrored):
    client = client_of(mirrored)
    folder = Path(versions(client, MASKS)[0].source.removeprefix("file://"))
    data = folder / "data/detector"
    assert {path.name for path in data.iterdir()} == {
        "weights.pth", "config.py", "categories.json", "settings.json",
    }  # fmt: skip
    state = torch.load(data / "weights.pth", weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    categories = json.loads((data / "categories.json").read_text())
    assert set(categories[0]) == {"id", "name", "frequency", "image_count"}
    for path in folder.rglob("*"):
        assert not path.is_symlink()
        if path.is_file() and path.name != "weights.pth" and "__pycache__" not in path.parts:
            path.read_text(encoding="utf-8")  # a text, so no pickle
            with pytest.raises(Exception), open(path, "rb") as file:  # noqa: B017, PT011
                pickle.load(file)
    assert "python_model" not in (folder / "MLmodel").read_text()


LOADING = """
import pickle, sys
named = []
sys.addaudithook(lambda event, given: event == "pickle.find_class" and named.append(given))
import mlflow
import pandas, torch  # what these libraries unpickle of their own, if anything, is not counted
named.clear()
model = mlflow.pyfunc.load_model("models:/masks@best")
print(len(model.predict(model.input_example, params={"score_threshold": 0.0})), named)
import pipeline
print(pipeline.__file__)
"""


def test_a_model_loads_elsewhere_from_its_own_code_without_unpickling(mirrored, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", LOADING],
        cwd=tmp_path,
        env=environment(mirrored) | {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    answer, place = done.stdout.strip().splitlines()[-2:]
    assert answer == "40 []"
    assert str(mirrored / "mlartifacts") in place


def environment(project):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW", "_MLFLOW"))}
    clean |= {"MLFLOW_TRACKING_URI": f"sqlite:///{project}/mlflow.db", "OMP_NUM_THREADS": "1"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # MLflow calls uvicorn
    return clean | {"PYTHONDONTWRITEBYTECODE": "1", "PATH": path}


def test_the_input_example_is_one_that_the_server_takes(mirrored):
    source = versions(client_of(mirrored), BOXES)[0].source
    example = json.loads(
        Path(source.removeprefix("file://"), "serving_input_example.json").read_text()
    )
    assert list(validate_serving_input(source, example))


def test_twice_is_once_and_another_configuration_shares_the_model(project):
    assert sync(project) == ""
    (project / ".mlflow-mirror.json").unlink()
    assert sync(project) == ""
    client = client_of(project)
    assert [len(versions(client, method)) for method in (BOXES, MASKS)] == [1, 1]
    edit(project, "learning_rate: 0.01", "learning_rate: 0.02")
    assert sync(project) == ""
    (version,) = versions(client, BOXES)
    runs = client.search_runs(["1"], f"tags.stage = 'train_representation@{BOXES}'")
    assert len(runs) == 2
    for run in runs:
        assert [m.model_id for m in run.outputs.model_outputs] == [version.tags["model_id"]]
    assert len(client.search_logged_models(["1"])) == 2


def test_a_model_whose_files_were_deleted_is_uploaded_again(project):
    assert sync(project) == ""
    shutil.rmtree(project / "mlartifacts")
    assert sync(project, force=True) == ""
    assert len(versions(client_of(project), BOXES)) == 1
    model = loaded(f"sqlite:///{project}/mlflow.db", BOXES)
    assert len(model.predict(val_images(project)[:1], params=EVERYTHING)) == 40


def test_a_model_that_was_deleted_is_made_again(project):
    """Its version too: nothing could be loaded by it."""
    assert sync(project) == ""
    client = client_of(project)
    client.delete_logged_model(versions(client, BOXES)[0].tags["model_id"])
    assert sync(project, force=True) == ""
    (version,) = versions(client, BOXES)
    assert (int(version.version), best(client, BOXES), best(client, MASKS)) == (2, 2, 1)
    assert not loaded(f"sqlite:///{project}/mlflow.db", BOXES).predict(val_images(project)).empty


def test_an_ap_that_comes_back_is_the_models_newest(project):
    for ap in (0.3, 0.5, 0.3):
        evaluated(project, BOXES, ap)
        assert sync(project) == ""
        time.sleep(0.01)
    client = client_of(project)
    (version,) = versions(client, BOXES)
    metrics = client.get_logged_model(version.tags["model_id"]).metrics
    newest = max((m for m in metrics if m.key == "AP"), key=lambda metric: metric.timestamp)
    assert (newest.value, version.tags["AP"]) == (30.0, "30.0")


def test_a_model_that_cannot_be_packed_leaves_the_others_and_all_numbers(project):
    (project / f"models/{BOXES}/config.py").unlink()
    assert f"models/{BOXES}/config.py" in sync(project)
    client = client_of(project)
    assert [len(versions(client, method)) for method in (BOXES, MASKS)] == [0, 1]
    assert len(client.search_runs(["1"], f"tags.stage = 'evaluate@{BOXES}'")) == 1


def test_three_cold_mirrors_register_a_model_at_once(finished, tmp_path):
    """Seeds of one configuration on a new server; here with the same weights, so one version."""
    with Server(write_folder(tmp_path / "server")) as server:
        copies = [shutil.copytree(finished, tmp_path / f"copy{seed}") for seed in range(3)]
        for seed, copy in enumerate(copies):
            uri = f"experiment: tiny, uri: '{server.uri}'"
            edit(copy, "experiment: tiny", uri)
            edit(copy, "report:", f"seed: {seed}\nreport:")
        outputs = [process.communicate()[1] for process in [start_sync(copy) for copy in copies]]
        assert outputs == [b""] * 3
        client = MlflowClient(tracking_uri=server.uri)
        for method in (BOXES, MASKS):
            assert len(client.search_registered_models(f"name = '{method}'")) == 1
            for copy in copies[:1]:  # a version of a late request goes with the next mirror
                assert sync(copy, force=True) == ""
            assert (len(versions(client, method)), best(client, method)) == (1, 1)


WRITES = [
    "create_experiment",
    "create_run",
    "log_batch",
    "log_inputs",
    "create_logged_model",
    "create_registered_model",
    "create_model_version",
    "log_outputs",
    "set_registered_model_alias",
]


def test_a_mirror_that_is_overtaken_finds_what_the_other_one_wrote(project, monkeypatch):
    """At each kind of row: as if another mirror had made it just before, so that the database
    refused ours."""
    refused = []

    def overtaken_once(method):
        original = getattr(MlflowClient, method)

        def call(client, *arguments, **options):
            result = original(client, *arguments, **options)
            if method not in refused:
                refused.append(method)
                raise MlflowException("UNIQUE constraint failed", BAD_REQUEST)
            return result

        return call

    for method in WRITES:
        monkeypatch.setattr(MlflowClient, method, overtaken_once(method))
    assert sync(project) == ""
    assert set(refused) == set(WRITES)
    client = client_of(project)
    runs = client.search_runs(["1"])
    assert len(runs) == len({run.data.tags.get("stage") for run in runs}) == 8
    assert [len(versions(client, method)) for method in (BOXES, MASKS)] == [1, 1]
    assert [best(client, method) for method in (BOXES, MASKS)] == [1, 1]
    assert {len(run.inputs.dataset_inputs) for run in runs} == {0, 2}


def edit(project, old, new):
    text = (project / "params.yaml").read_text()
    assert old in text
    write(project / "params.yaml", text.replace(old, new))


def retrain(project, ap):
    """Other weights and their AP."""
    path = project / "models" / BOXES / "weights.pth"
    state = torch.load(path, weights_only=True)
    state["roi_head.bbox_head.fc_cls.bias"] += 0.01
    torch.save(state, path)
    evaluated(project, BOXES, ap)
    assert sync(project) == ""


def test_best_moves_by_its_rule(project):
    sync(project)
    client = client_of(project)
    for ap, number, expected in [(0.2, 2, 1), (0.3, 3, 1), (0.4, 4, 4), (0.1, 5, 4)]:
        retrain(project, ap)
        assert (len(versions(client, BOXES)), best(client, BOXES)) == (number, expected)
    val = project / "data/symbols/val.json"
    val.write_text(val.read_text() + "\n")  # other annotations: what was is not comparable
    retrain(project, 0.05)
    assert (len(versions(client, BOXES)), best(client, BOXES)) == (6, 6)
    evaluated(project, BOXES, 0.45)  # the same weights, evaluated anew
    sync(project)
    assert len(versions(client, BOXES)) == 6
    assert versions(client, BOXES)[-1].tags["AP"] == "45.0"


def test_models_can_be_left_out(project):
    edit(project, "experiment: tiny", "experiment: tiny, models: false")
    assert sync(project) == ""
    assert client_of(project).search_registered_models() == []


def test_a_model_that_cannot_be_packaged_is_named_and_loses_no_number(project):
    write(project / "models" / BOXES / "config.py", "import os\n")
    err = sync(project)
    assert f"models/{BOXES}/config.py is no config as the training writes it" in err
    (parent,) = client_of(project).search_runs(["1"], "tags.kind = 'pipeline'")
    assert parent.data.metrics["masks/AP"] == 30.0
    assert len(versions(client_of(project), MASKS)) == 1


@contextlib.contextmanager
def hanging_in_an_upload(server):
    """It stops to answer in the middle of one, until the end of the block."""
    over = threading.Event()

    def hold():
        wait_for_upload(server)
        with server.stopped():
            over.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def wait_for_upload(server):
    """Until the server has the first files of a model whose upload goes on."""
    deadline = time.monotonic() + 200
    while not list(server.folder.glob("mlartifacts/*/models/*/artifacts/**/*.py")):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def start_sync(project):
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline.tracking", "sync", "--root", str(project)],
        cwd=background.CODE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def test_an_upload_that_hangs_or_is_killed_costs_no_number_and_goes_on(project, tmp_path):
    with Server(write_folder(tmp_path / "server")) as server:
        edit(project, "experiment: tiny", f"experiment: tiny, uri: '{server.uri}'")
        client = MlflowClient(tracking_uri=server.uri)
        with hanging_in_an_upload(server):
            began = time.monotonic()
            err = sync(project, seconds=10)
            assert time.monotonic() - began < BUSY
        assert err.startswith(f"warning: MLflow at {server.uri} took longer than 10 s")
        (parent,) = client.search_runs(["1"], "tags.kind = 'pipeline'")
        found = parent.data.metrics["masks/AP"], parent.info.status
        assert found == (30.0, "RUNNING")  # no report
        for path in server.folder.glob("mlartifacts/*/models/*/artifacts"):
            shutil.rmtree(path)
        killed = start_sync(project)
        wait_for_upload(server)
        killed.send_signal(signal.SIGKILL)
        assert killed.wait() == -signal.SIGKILL  # so it was not yet done
        assert sync(project) == ""
        models = client.search_logged_models(["1"])
        assert sorted((m.name, m.status) for m in models) == [
            ("bce", "READY"),
            ("masks", "READY"),
        ]
        assert [best(client, method) for method in (BOXES, MASKS)] == [1, 1]
        assert sync(project, force=True) == ""
        answers = loaded(server.uri, MASKS).predict(val_images(project)[:1], params=EVERYTHING)
        check_equal(answers, rows_of_predict(project, MASKS)[0], 0)


def write_folder(folder):
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def served(mirrored):
    """The address of `mlflow models serve`, started in the project's folder."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", f"models:/{BOXES}@best"]
    with open(mirrored / "serve.log", "w") as log:
        process = subprocess.Popen(
            [*command, "--env-manager", "local", "-p", str(port)],
            cwd=mirrored,
            env=environment(mirrored) | {"MLFLOW_TRACKING_URI": "sqlite:///mlflow.db"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/ping", process, mirrored / "serve.log")
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def wait_for(url, process, log):
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2):
            return
        time.sleep(0.3)
    raise AssertionError(log.read_text())


def ask(url, body, kind="application/json"):
    """(status, answer)."""
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": kind})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def request_for(content, **params):
    text = base64.b64encode(content).decode()
    return {"inputs": [text], "params": params or EVERYTHING}


def test_the_server_answers_a_jpeg_as_the_loaded_model_does(served, mirrored, tmp_path):
    path = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(val_images(mirrored)[1]).convert("RGB").crop((0, 0, 64, 40)).save(path, exif=exif)
    status, answer = ask(served, request_for(path.read_bytes()))
    assert status == 200
    model = loaded(f"sqlite:///{mirrored}/mlflow.db", BOXES)
    expected = model.predict([path], params=EVERYTHING)
    answer = pd.DataFrame(answer["predictions"])
    pd.testing.assert_frame_equal(answer, expected, check_dtype=False)
    assert expected.box.map(lambda box: box[0] + box[2]).max() <= 40 + 1e-3  # after the rotation


def test_the_server_takes_one_picture_or_several(served, mirrored):
    content = val_images(mirrored)[0].read_bytes()
    text = base64.b64encode(content).decode()
    _, expected = ask(served, request_for(content))
    assert len(expected["predictions"]) == 40
    for form in (text, [text], {"image": [text]}):
        assert ask(served, {"inputs": form, "params": EVERYTHING}) == (200, expected)
    _, answer = ask(served, {"inputs": [text, text], "params": EVERYTHING})
    assert [row["image"] for row in answer["predictions"]] == [0] * 40 + [1] * 40


def test_a_photo(served, shared):
    photo = sorted((shared / "data/coco_lt_mini/val").glob("*.jpg"))[0]
    width, height = Image.open(photo).size
    status, answer = ask(served, request_for(photo.read_bytes()))
    assert status == 200
    assert answer["predictions"]
    for found in answer["predictions"]:
        x, y, w, h = found["box"]
        assert -1e-2 <= x <= x + w <= width + 1e-2
        assert -1e-2 <= y <= y + h <= height + 1e-2


def test_a_bad_request_is_one_clear_error_and_the_server_lives_on(served, mirrored):
    secret = val_images(mirrored)[0]
    good = request_for(secret.read_bytes())
    for body, words in [
        (request_for(b"hello"), "image 1 of 1 is not an image that can be read (5 bytes)"),
        (request_for(secret.read_bytes()[:60]), "image 1 of 1 is not an image that can be read"),
        (request_for(secret.read_bytes(), score_threshold=7.0), "score_threshold is 7.0"),
        ({"inputs": [str(secret)]}, "never as a file's name"),
        ({"inputs": [[[1, 2, 3]]]}, "image 1 of 1 is a list; it takes"),
        ({"inputs": 7}, "image 1 of 1 is a int"),
        ({"dataframe_records": [{"image": str(secret)}]}, "'inputs'"),
    ]:
        status, answer = ask(served, body)
        assert (status, words in answer["message"]) == (400, True), answer
        assert "stack_trace" not in answer
    status, answer = ask(served, f"image\n{secret}\n", "text/csv")
    assert status == 400
    assert "never as a file's name" in answer["message"]
    assert ask(served, good)[0] == 200
