"""A training that was stopped anywhere ends with the weights of one that was not, bit for bit."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from ruamel.yaml import YAML

from pipeline import params
from pipeline.compute.complete import complete
from pipeline.compute.signals import PREEMPTED, Preempted
from pipeline.files import file_digest
from pipeline.params.parts import Sampler
from pipeline.params.plain import plain
from pipeline.training import train
from pipeline.training.train_task import training
from stages.predict import predict
from stages.prepare import prepare

IMAGES, BATCH = 18, 4
STEPS = 5  # an epoch; there are two
DRAWN_STEPS = 9  # an epoch of `crt`, 33 images


def tiny(root):
    smoke = params.load(root / "configs" / "presets" / "smoke.yaml")
    data = replace(smoke.data, train_images=IMAGES, val_images=70)
    two = dict(epochs=2, milestones=[1])
    bce = replace(smoke.representation["bce"], **two)
    bacl = replace(smoke.classifier["bacl"], **two)
    rule = {"type": "repeat_factor", "threshold": 0.5, "rounding": "random"}
    # what is drawn, starts afresh and stays frozen must survive a resume as well
    crt = replace(
        bacl, loss=bce.loss, features=None, sampler=Sampler.from_yaml(rule, "sampler"),
        train=["fc_cls"], reinit=["fc_cls"],
    )  # fmt: skip
    return replace(
        smoke,
        data=data,
        train=replace(smoke.train, batch_size=BATCH, warmup_iters=3),
        representation={"bce": bce},
        classifier={"bacl": bacl, "crt": crt},
        report=replace(smoke.report, methods=["bce", "bacl", "crt"], baseline="bce"),
        compute=params.Compute(gpus=0, workers=1),
        tracking=params.Tracking(enabled=False),
    )


@pytest.fixture(scope="module")
def project(root, tmp_path_factory):
    """A project of 18 train images, with all methods trained and predicted without a stop."""
    folder = tmp_path_factory.mktemp("resume")
    settings = tiny(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("DVC_ROOT", raising=False)
        patch.setenv("CUDA_VISIBLE_DEVICES", "")
        with open("params.yaml", "w") as file:
            YAML(typ="safe").dump(plain(settings), file)
        prepare()
        for name in settings.report.methods:
            complete(training(settings, name))
        predict("bce")
        yield folder


def weights(name):
    """Digests of the weights and, of a classifier, of what it remembers of its epochs."""
    files = [Path("models", name, file) for file in ("weights.pth", "class_history.npz")]
    return [file_digest(path) for path in files if path.exists()]


def start_over(settings, name):
    """Forget what was trained, by this process or by others; returns the task."""
    for folder in Path(".checkpoints").glob(f"{name}-*"):
        shutil.rmtree(folder)
    return training(settings, name)


class SignalAt(Hook):
    """Sends this process a signal after a step, before anything is saved."""

    def __init__(self, step, number):
        self.step, self.number = step, number

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if runner.iter + 1 == self.step:
            os.kill(os.getpid(), self.number)


@pytest.fixture
def signal_at(monkeypatch):
    """Call it with (step, signal) before a training."""
    build = train.build_runner

    def arrange(step, number):
        def with_signal(*arguments):
            runner = build(*arguments)
            runner.register_hook(SignalAt(step, number))
            return runner

        monkeypatch.setattr(train, "build_runner", with_signal)

    return arrange


@pytest.mark.parametrize(
    ("name", "step", "saved", "number"),
    [
        ("bce", 1, 1, signal.SIGTERM),
        ("bce", 3, 3, signal.SIGUSR1),
        ("bce", STEPS, STEPS, signal.SIGUSR2),  # the end of the first epoch
        ("bce", STEPS + 2, STEPS + 2, signal.SIGINT),
        ("bacl", 2, 2, signal.SIGTERM),
        ("bacl", STEPS + 1, STEPS + 1, signal.SIGUSR1),
        ("crt", 3, 3, signal.SIGTERM),
        ("crt", DRAWN_STEPS, DRAWN_STEPS, signal.SIGTERM),
        ("crt", DRAWN_STEPS + 2, DRAWN_STEPS + 2, signal.SIGTERM),
    ],
)
def test_a_stopped_training_ends_the_same(project, root, signal_at, name, step, saved, number):
    reference = weights(name)
    settings = tiny(root)
    task = start_over(settings, name)
    signal_at(step, number)
    with pytest.raises(Preempted):
        complete(task)
    assert max(int(p.stem.split("_")[1]) for p in task.folder.glob("step_*.pth")) == saved
    signal_at(0, number)
    complete(task)
    assert weights(name) == reference
    assert not list(task.folder.glob("step_*"))


def test_every_few_minutes_it_saves_by_itself(project, root, signal_at):
    """As after a SIGKILL: what was saved on the way is what the next one goes on from."""
    reference = weights("bacl")
    settings = tiny(root)
    always = replace(settings, compute=replace(settings.compute, checkpoint_minutes=0))
    task = start_over(always, "bacl")
    signal_at(4, signal.SIGTERM)
    with pytest.raises(Preempted):
        complete(task)
    assert sorted(p.name for p in task.folder.glob("step_*.pth")) == ["step_3.pth", "step_4.pth"]
    (task.folder / "step_4.pth").unlink()
    signal_at(0, signal.SIGTERM)
    complete(task)
    assert weights("bacl") == reference


def test_a_signal_after_the_last_step_does_not_lose_the_model(project, root, signal_at):
    reference = weights("bce")
    task = start_over(tiny(root), "bce")
    signal_at(2 * STEPS, signal.SIGTERM)
    with pytest.raises(Preempted):  # the stage ends, and dvc starts no other
        complete(task)
    assert task.finished()
    complete(task)
    assert weights("bce") == reference


def test_a_finished_training_is_not_repeated(project, root, monkeypatch):
    def forbidden(task):
        raise AssertionError("trained again")

    monkeypatch.setattr(train, "train", forbidden)
    reference = weights("bce")
    Path("models/bce/weights.pth").unlink()
    complete(training(tiny(root), "bce"))
    assert weights("bce") == reference


def test_frozen_layers_stay_frozen_when_an_epoch_is_resumed(project, root, signal_at):
    before = torch.load("models/bce/weights.pth", weights_only=True)
    task = start_over(tiny(root), "bacl")
    signal_at(2, signal.SIGTERM)
    with pytest.raises(Preempted):
        complete(task)
    signal_at(0, signal.SIGTERM)
    complete(task)
    after = torch.load("models/bacl/weights.pth", weights_only=True)
    assert torch.equal(before["backbone.bn1.running_mean"], after["backbone.bn1.running_mean"])


# ---- several processes, through the stages themselves


def use(processes):
    """That many CPU processes, from now on."""
    text = Path("params.yaml").read_text()
    document = YAML(typ="safe").load(text)
    document["compute"] |= {"processes": processes, "checkpoint_minutes": 0.0, "gpus": 0}
    with open("params.yaml", "w") as file:
        YAML(typ="safe").dump(document, file)


def predicted_here():
    """The digest of what this process predicts, alone."""
    use(1)
    predict("bce")
    return file_digest("predictions/bce.parquet")


def stage(*arguments, processes=1):
    """Start a stage on so many CPU processes."""
    use(processes)
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": root}
    return subprocess.Popen(
        [sys.executable, "-m", *arguments], env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def run(*arguments, processes=1, code=0):
    running = stage(*arguments, processes=processes)
    output, _ = running.communicate(timeout=300)
    assert running.returncode == code, output
    return output


def wait_for(running, found, seconds=120):
    for _ in range(seconds * 20):
        there = [str(path) for path in Path(".checkpoints").glob("*/*")]
        assert running.poll() is None, (running.communicate()[0], there)
        if found():
            return
        time.sleep(0.05)
    raise AssertionError("nothing was saved in time")


def no_process_of(folder):
    """Whether no process has ``folder`` as its current one, besides this."""
    for link in Path("/proc").glob("[0-9]*/cwd"):
        try:
            there = link.resolve()
        except OSError:
            continue
        if there == folder and int(link.parent.name) != os.getpid():
            return False
    return True


@pytest.fixture(scope="module")
def of_two_ranks(project, root):
    """What two ranks train without a stop."""
    start_over(tiny(root), "bce")
    run("stages.train_representation", "bce", processes=2)
    return weights("bce")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_two_ranks_stop_and_go_on_together(project, root, of_two_ranks, number):
    start_over(tiny(root), "bce")
    running = stage("stages.train_representation", "bce", processes=2)
    wait_for(running, lambda: list(Path(".checkpoints").glob("bce-*/step_[2-9].pth")))
    running.send_signal(number)
    output = running.communicate(timeout=120)[0]
    assert running.returncode == (PREEMPTED if number == signal.SIGTERM else -number), output
    for _ in range(200):
        if no_process_of(Path.cwd()):
            break
        time.sleep(0.1)
    assert no_process_of(Path.cwd())
    assert "resuming bce from" in run("stages.train_representation", "bce", processes=2)
    assert weights("bce") == of_two_ranks


def test_an_error_of_a_rank_is_one_line(project, root):
    start_over(tiny(root), "bce")
    image = next(Path("data/symbols/images/train").glob("*.png"))
    content = image.read_bytes()
    image.write_bytes(b"not a picture")
    try:
        output = run("stages.train_representation", "bce", processes=2, code=1)
    finally:
        image.write_bytes(content)
    assert f"{image.name} is not a readable image" in output.strip().splitlines()[-1]
    assert "ChildFailedError" not in output


def test_any_number_of_ranks_predicts_the_same_file(project, root):
    complete(training(tiny(root), "bce"))
    reference = predicted_here()
    for processes in (2, 3):
        Path("predictions/bce.parquet").unlink()
        run("stages.predict", "bce", processes=processes)
        assert file_digest("predictions/bce.parquet") == reference


def test_a_killed_prediction_keeps_its_parts(project, root):
    reference = predicted_here()
    running = stage("stages.predict", "bce")
    wait_for(running, lambda: list(Path(".checkpoints").glob("predict-bce-*/parts/0*.parquet")))
    running.kill()
    running.communicate()
    assert "1/5" not in run("stages.predict", "bce").split("predict bce")[-1]
    assert file_digest("predictions/bce.parquet") == reference
