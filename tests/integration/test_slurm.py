"""The SLURM backend on a real cluster of two nodes on this machine; see slurm_cluster.py.

The tests share the cluster, and each leaves it without jobs.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import slurm_cluster

from pipeline import presets
from pipeline.compute.signals import PREEMPTED
from pipeline.files import file_digest

TOY = Path(slurm_cluster.__file__).with_name("slurm_toy.py")
SECONDS = 120  # for anything to happen
FIRST, SECOND = slurm_cluster.NODES
STAGES = ("train_representation@bce", "predict@bce", "evaluate@bce")

pytestmark = pytest.mark.skipif(
    bool(slurm_cluster.missing()), reason=slurm_cluster.missing() or "none"
)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The folder of a running cluster, to which SLURM's commands point now."""
    folder = tmp_path_factory.mktemp("slurm") / "cluster"
    with pytest.MonkeyPatch.context() as patch, slurm_cluster.cluster(folder) as environment:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield folder


@pytest.fixture
def start(cluster, root, tmp_path):
    """Start the toy's launcher in an empty folder; it prints into `out`."""
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONUNBUFFERED": "1"}
    launchers = []

    def start(*arguments):
        with open(tmp_path / "out", "ab") as out:
            launchers.append(subprocess.Popen(
                [sys.executable, TOY, "toy", *map(str, arguments)],
                cwd=tmp_path, env=environment, stdout=out, stderr=out,
            ))  # fmt: skip
        return launchers[-1]

    yield start
    for launcher in launchers:
        launcher.kill()
        launcher.wait()
    slurm("scancel", "--user=root")
    wait_for(lambda: not jobs(), "the jobs to end")


def slurm(*words):
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


def jobs():
    return slurm("squeue", "--noheader", "--format=%i").split()


def wait_for(condition, what):
    limit = time.monotonic() + SECONDS
    while not (value := condition()):
        assert time.monotonic() < limit, f"waited too long for {what}"
        time.sleep(0.1)
    return value


def output(folder):
    return (folder / "out").read_text()


def end(folder, launcher, code=0):
    """What the launcher has printed, once it has ended with this exit code."""
    assert launcher.wait(2 * SECONDS) == code, output(folder)
    return output(folder)


def steps(folder):
    """(job, restarts, node, ranks) of each step that was taken."""
    return [tuple(file.read_text().split()) for file in sorted(folder.glob("toy/step_*"))]


def reach(folder, count):
    """Wait until so many steps are taken; returns the number of the job that has begun."""
    wait_for(lambda: len(steps(folder)) >= count and all(steps(folder)), f"step {count}")
    return steps(folder)[0][0]


def test_a_job_is_followed_to_its_end(start, tmp_path):
    text = end(tmp_path, start("--steps", 3))
    assert len(steps(tmp_path)) == 3
    for line in ("submitted", f"runs on {FIRST}", "starting at 0", "step 2"):
        assert line in text
    assert not jobs()
    left = {file.suffix for file in (tmp_path / "toy/slurm").iterdir()}
    assert left == {"", ".out", ".pkl", ".sh"}


def test_two_nodes_share_the_work(start, tmp_path):
    end(tmp_path, start("--steps", 3, "--slurm", '{"nodes": 2}'))
    assert [ranks for *_, ranks in steps(tmp_path)] == ["2"] * 3


def test_a_waiting_job_says_why_and_leaves_the_queue_when_stopped(start, tmp_path):
    launcher = start("--slurm", '{"options": {"begin": "now+1hour"}}')
    wait_for(lambda: "waits: BeginTime" in output(tmp_path), "the reason")
    launcher.send_signal(signal.SIGTERM)
    end(tmp_path, launcher, PREEMPTED)
    assert not jobs()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ('{"partition": "nowhere"}', "invalid partition specified: nowhere"),
        ('{"options": {"no_such": 1}}', "unrecognized option '--no-such=1'"),
    ],
)
def test_what_sbatch_refuses_is_one_line(start, tmp_path, options, words):
    text = end(tmp_path, start("--slurm", options), 1)
    assert words in text.splitlines()[-1]
    assert "Traceback" not in text
    assert [file.name for file in (tmp_path / "toy/slurm").iterdir()] == ["heartbeat"]


@pytest.mark.parametrize(
    ("name", "words"), [("value", "error: step 2 is wrong"), ("key", "error: KeyError on ")]
)
def test_an_error_of_the_work_is_one_line_with_the_log(start, tmp_path, name, words):
    text = end(tmp_path, start("--name", name, "--fail-at", 2), 1)
    last = text.splitlines()[-1]
    assert last.startswith(words)
    log = Path(last.split("its log: ")[1].rstrip(")"))
    assert ("Traceback" in log.read_text()) == (name == "key")


def test_a_cancelled_job_is_an_error(start, tmp_path):
    launcher = start("--steps", 1000)
    slurm("scancel", reach(tmp_path, 2))
    assert "was cancelled" in end(tmp_path, launcher, 1).splitlines()[-1]


def test_at_its_time_limit_a_job_saves_and_another_one_goes_on(start, tmp_path):
    # SLURM counts in whole minutes and looks every half one: the signal comes within 30 seconds
    slurm_options = '{"time_limit": "1", "signal_seconds": 50}'
    text = end(tmp_path, start("--steps", 34, "--seconds", 1, "--slurm", slurm_options))
    assert len({job for job, *_ in steps(tmp_path)}) > 1
    assert "submitting the rest" in text


def test_jobs_that_save_nothing_are_not_submitted_forever(start, tmp_path):
    text = end(tmp_path, start("--name", "idle"), 1)
    assert "3 jobs in a row have saved nothing" in text.splitlines()[-1]
    assert text.count("starting at 0") == 3


def test_a_requeued_job_is_waited_for(start, tmp_path):
    launcher = start("--steps", 20, "--seconds", 0.3)
    job = reach(tmp_path, 2)
    slurm("scontrol", "requeue", job)
    assert f"job {job} was requeued by SLURM" in end(tmp_path, launcher)
    assert {(job, "0"), (job, "1")} == {taken[:2] for taken in steps(tmp_path)}


def test_a_preempted_job_goes_on(start, tmp_path):
    launcher = start("--steps", 20, "--seconds", 0.3, "--slurm", '{"options": {"exclusive": true}}')
    reach(tmp_path, 2)
    urgent = ["srun", "--partition=urgent", "--nodes=2", "--exclusive", "true"]
    assert subprocess.run(urgent, timeout=SECONDS).returncode == 0
    end(tmp_path, launcher)
    assert len({taken[:2] for taken in steps(tmp_path)}) == 2


def test_when_its_node_goes_down_a_job_goes_on(cluster, start, tmp_path):
    launcher = start("--steps", 20, "--seconds", 0.3)
    reach(tmp_path, 2)
    slurm("scontrol", "update", f"nodename={FIRST}", "state=down", "reason=test")
    end(tmp_path, launcher)
    wait_for(lambda: slurm_cluster.states(cluster) == "idle", "the node to come back")
    assert len({taken[:2] for taken in steps(tmp_path)}) == 2


def test_a_node_that_slurm_has_lost_stops_when_the_job_goes_on_elsewhere(cluster, start, tmp_path):
    launcher = start("--steps", 1000, "--seconds", 0.3, "--patience", 20)
    job = reach(tmp_path, 2)
    slurm_cluster.kill_node(cluster, FIRST)  # the daemon only: the work itself goes on
    log = tmp_path / f"toy/slurm/{job}_0_log.out"
    wait_for(lambda: "another run of this job has begun" in log.read_text(), "the old run to end")
    count = len(steps(tmp_path))
    wait_for(lambda: len(steps(tmp_path)) > count, "the new run to go on")
    assert steps(tmp_path)[-1][2] == SECOND
    launcher.send_signal(signal.SIGTERM)
    end(tmp_path, launcher, PREEMPTED)
    slurm_cluster.start_node(cluster, FIRST)
    wait_for(lambda: slurm_cluster.states(cluster) == "idle", "the node to come back")


def test_a_stopped_launcher_lets_its_job_save(start, tmp_path):
    launcher = start("--steps", 1000)
    reach(tmp_path, 2)
    launcher.send_signal(signal.SIGTERM)
    text = end(tmp_path, launcher, PREEMPTED)
    assert not jobs()
    assert "stopping job" in text
    count = len(steps(tmp_path))
    end(tmp_path, start("--steps", count + 2))
    assert f"starting at {count}" in output(tmp_path)


def test_ctrl_c_after_a_signal_cancels_and_the_next_run_waits_for_the_end(start, tmp_path):
    launcher = start("--seconds", 1000)
    wait_for(lambda: "starting at 0" in output(tmp_path), "a work that takes long to save")
    launcher.send_signal(signal.SIGTERM)
    wait_for(lambda: "stopping job" in output(tmp_path), "the launcher to stop the job")
    time.sleep(1)
    assert launcher.poll() is None
    launcher.send_signal(signal.SIGINT)
    end(tmp_path, launcher, PREEMPTED)
    end(tmp_path, start("--steps", 3))
    assert len(steps(tmp_path)) == 3


def test_a_job_ends_when_its_launcher_is_killed(start, tmp_path):
    launcher = start("--steps", 100_000, "--patience", 4)
    job = reach(tmp_path, 2)
    launcher.kill()
    wait_for(lambda: job not in jobs(), "the orphan to end")
    log = (tmp_path / f"toy/slurm/{job}_0_log.out").read_text()
    assert "no sign of the launcher" in log


def test_a_new_launcher_goes_on_with_the_job_of_a_killed_one(start, tmp_path):
    launcher = start("--steps", 30)
    job = reach(tmp_path, 2)
    launcher.kill()
    assert "of an earlier run is still there" in end(tmp_path, start("--steps", 30))
    assert {taken[0] for taken in steps(tmp_path)} == {job}


@pytest.fixture(scope="module")
def project(cluster, root, tmp_path_factory):
    """The `smoke` preset with `bce` trained, predicted and evaluated locally."""
    folder = tmp_path_factory.mktemp("chain") / "project"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        presets.copy("smoke", folder)
    configure(folder, "{gpus: 0, workers: 1}")
    repro(folder, "evaluate@bce")
    return folder


@pytest.fixture(scope="module")
def local(project):
    """(digest of the weights, metrics) of the local run, before any test has changed them."""
    return results(project)


def configure(project, compute):
    file = project / "params.yaml"
    lines = file.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith("compute:")]
    file.write_text("\n".join([*kept, f"compute: {compute}", ""]), encoding="utf-8")


def start_repro(project, *arguments):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        ["dvc", "repro", *arguments],
        cwd=project, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def repro(project, *arguments, dvc=None, code=0):
    """What dvc has printed, its stages included."""
    dvc = dvc or start_repro(project, *arguments)
    text = dvc.communicate(timeout=600)[0]
    assert dvc.returncode == code, text
    return text


def results(project):
    metrics = json.loads((project / "reports/metrics/bce.json").read_text())
    return file_digest(project / "models/bce/weights.pth"), metrics


def again(project):
    """Forget the finished work, so that the stages do it once more."""
    shutil.rmtree(project / ".checkpoints")
    return ("--force", "--single-item", *STAGES)


def training_log(project):
    """The log of the training's job, once it is there."""
    logs = list(project.glob(".checkpoints/bce-*/slurm/*_0_log.out"))
    return logs[0].read_text() if logs else ""


def wait_for_training(project):
    wait_for(lambda: "Epoch(train)" in training_log(project), "the first steps")
    return jobs()[0]


def test_jobs_give_what_a_local_run_gives_also_after_a_requeue_in_mid_epoch(project, local):
    configure(project, "{backend: slurm, gpus: 0, workers: 1}")
    dvc = start_repro(project, *again(project))
    slurm("scontrol", "requeue", wait_for_training(project))
    text = repro(project, dvc=dvc)
    assert text.count("submitted; its log") == 2  # training and prediction
    assert "was requeued by SLURM" in text
    assert "resuming bce from" in text
    assert "Epoch(train)" in text
    assert results(project) == local


def test_a_cancelled_training_fails_its_stage(project):
    dvc = start_repro(project, *again(project)[:3])
    slurm("scancel", wait_for_training(project))
    text = repro(project, dvc=dvc, code=255)
    assert "was cancelled (scancel); run the stage again to go on" in text
    assert "Traceback" not in text


def test_two_nodes_train_and_predict_together(project, local):
    configure(project, "{backend: slurm, gpus: 0, processes: 1, workers: 1, slurm: {nodes: 2}}")
    text = repro(project, *again(project))
    assert f"runs on {FIRST[:-2]}[{FIRST[-2:]}-{SECOND[-2:]}]" in text
    metrics = results(project)[1]
    assert metrics["AP"] == pytest.approx(local[1]["AP"], abs=0.05)
