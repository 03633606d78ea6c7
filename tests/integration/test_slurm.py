"""The SLURM backend on a real cluster of two nodes on this machine; see tests/slurm_cluster.py.

The tests share the cluster, and each leaves it without jobs.
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import slurm_cluster
from pipeline.compute.signals import PREEMPTED

TOY = Path(slurm_cluster.__file__).with_name("slurm_toy.py")
SECONDS = 120  # for anything to happen
FIRST, SECOND = slurm_cluster.NODES

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
    launcher = start("--steps", 30, "--seconds", 0.3)
    job = reach(tmp_path, 2)
    slurm("scontrol", "requeue", job)
    assert f"job {job} was requeued by SLURM" in end(tmp_path, launcher)
    assert {(job, "0"), (job, "1")} == {taken[:2] for taken in steps(tmp_path)}


def test_a_preempted_job_goes_on(start, tmp_path):
    launcher = start("--steps", 30, "--seconds", 0.3, "--slurm", '{"options": {"exclusive": true}}')
    reach(tmp_path, 2)
    urgent = ["srun", "--partition=urgent", "--nodes=2", "--exclusive", "true"]
    assert subprocess.run(urgent, timeout=SECONDS).returncode == 0
    end(tmp_path, launcher)
    assert len({taken[:2] for taken in steps(tmp_path)}) == 2


def test_when_its_node_goes_down_a_job_goes_on_elsewhere(cluster, start, tmp_path):
    launcher = start("--steps", 30, "--seconds", 0.3)
    reach(tmp_path, 2)
    slurm("scontrol", "update", f"nodename={FIRST}", "state=down", "reason=test")
    end(tmp_path, launcher)
    slurm("scontrol", "update", f"nodename={FIRST}", "state=resume")
    assert {node for _, _, node, _ in steps(tmp_path)} == {FIRST, SECOND}


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


def test_a_job_ends_when_its_launcher_is_killed(start, tmp_path):
    launcher = start("--steps", 100_000, "--patience", 4)
    job = reach(tmp_path, 2)
    launcher.kill()
    wait_for(lambda: job not in jobs(), "the orphan to end")
    log = (tmp_path / f"toy/slurm/{job}_0_log.out").read_text()
    assert "no sign of the launcher" in log


def test_a_new_launcher_goes_on_with_the_job_of_a_killed_one(start, tmp_path):
    launcher = start("--steps", 50)
    job = reach(tmp_path, 2)
    launcher.kill()
    assert "of an earlier run is still there" in end(tmp_path, start("--steps", 50))
    assert {taken[0] for taken in steps(tmp_path)} == {job}
