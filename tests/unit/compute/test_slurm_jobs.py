"""What sbatch is asked for, and what the end of a job means; tests/integration has the rest."""

import os
from types import SimpleNamespace

import pytest
from submitit.slurm.slurm import _make_sbatch_string as sbatch_script

from pipeline.compute.slurm import run_on_slurm
from pipeline.compute.slurm_end import reason_to_go_on
from pipeline.compute.slurm_submit import forget_outer_job, parameters
from pipeline.compute.slurm_watch import End, parse
from pipeline.params import Compute, Slurm


def script(slurm=None, **compute):
    settings = SimpleNamespace(
        compute=Compute(backend="slurm", slurm=Slurm(**(slurm or {})), **compute)
    )
    task = SimpleNamespace(settings=settings, name="bacl")
    return sbatch_script("python", "/jobs", **parameters(task)).splitlines()


def test_gpus_nodes_and_limits_become_options():
    lines = script(
        {"nodes": 2, "time_limit": "4:00:00", "partition": "gpu", "setup": ["module load cuda"]},
        gpus=8, workers=3,
    )  # fmt: skip
    for option in ("nodes=2", "ntasks-per-node=8", "gpus-per-node=8", "cpus-per-task=4",
                   "time=4:00:00", "partition=gpu", "signal=USR2@120"):  # fmt: skip
        assert f"#SBATCH --{option}" in lines
    assert "module load cuda" in lines
    assert any("--kill-on-bad-exit=1 --cpus-per-task=4 python" in line for line in lines)


def test_no_gpus_are_asked_for_on_a_cpu():
    lines = script(gpus=0, processes=2)
    assert "#SBATCH --ntasks-per-node=2" in lines
    assert not any("gpu" in line for line in lines)


def test_free_options_win_and_false_is_left_out():
    lines = script(
        {"options": {"cpus-per-task": 9, "exclusive": True, "no_kill": False, "mem": "32G"}}, gpus=1
    )
    assert {"#SBATCH --cpus-per-task=9", "#SBATCH --exclusive", "#SBATCH --mem=32G"} <= set(lines)
    assert not any("no-kill" in line or "cpus-per-task=2" in line for line in lines)


def test_cpus_of_a_gpu_are_not_asked_for_twice():
    lines = script({"options": {"cpus_per_gpu": 6}}, gpus=1)
    assert "#SBATCH --cpus-per-gpu=6" in lines
    assert not any("cpus-per-task" in line for line in lines)


def test_the_job_that_a_stage_runs_in_leaves_no_trace(monkeypatch):
    for name in ("SLURM_JOB_ID", "SLURM_MEM_PER_CPU", "SLURM_CONF", "SBATCH_ACCOUNT"):
        monkeypatch.setenv(name, "x")
    forget_outer_job()
    assert {"SLURM_CONF", "SBATCH_ACCOUNT"} <= set(os.environ)
    assert not {"SLURM_JOB_ID", "SLURM_MEM_PER_CPU"} & set(os.environ)


def test_without_slurm_the_message_says_where_to_start(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ValueError, match=r"sbatch is not on this machine.*login node"):
        run_on_slurm(SimpleNamespace())


def ended(tmp_path, state, code="0:0", restarts=0):
    text = f"JobId=7 JobState={state} Restarts={restarts} ExitCode={code} NodeList=n[1-2] Reason=R"
    return End("7", parse(text), tmp_path / "7_0_log.out")


@pytest.mark.parametrize(
    ("state", "code", "reason"),
    [
        ("TIMEOUT", "0:0", "reached its time limit"),
        ("PREEMPTED", "0:15", "was preempted"),
        ("NODE_FAIL", "1:0", "ended with its node"),
        ("COMPLETED", "0:0", "has saved and stopped"),
        ("FAILED", "140:0", "was stopped"),  # by SIGUSR2, before it had begun
        ("FAILED", "0:15", "was stopped"),
        ("FAILED", "85:0", "was stopped"),  # it has lost another rank
    ],
)
def test_the_work_goes_on_after(tmp_path, state, code, reason):
    assert reason_to_go_on(ended(tmp_path, state, code)) == reason


@pytest.mark.parametrize(
    ("state", "code", "words"),
    [
        ("CANCELLED", "0:15", "job 7 was cancelled"),
        ("OUT_OF_MEMORY", "0:125", "compute.slurm.options.mem"),
        ("FAILED", "2:0", "FAILED, exit code 2; its log: .*7_0_log.out"),
    ],
)
def test_the_work_does_not_go_on_after(tmp_path, state, code, words):
    with pytest.raises(ValueError, match=words):
        reason_to_go_on(ended(tmp_path, state, code))


def test_a_killed_step_was_out_of_memory_where_its_log_says_so(tmp_path):
    (tmp_path / "7_0_log.out").write_text("slurmstepd: error: Detected 1 oom_kill event in 7.0\n")
    with pytest.raises(ValueError, match="out of memory"):
        reason_to_go_on(ended(tmp_path, "FAILED", "137:0"))


def test_only_the_last_run_of_a_requeued_job_counts(tmp_path):
    (tmp_path / "7_0_0_error.txt").write_text("the first run's")
    assert reason_to_go_on(ended(tmp_path, "TIMEOUT", restarts=1)) == "reached its time limit"
    (tmp_path / "7_1_3_error.txt").write_text("a disk is full")
    with pytest.raises(ValueError, match="a disk is full"):
        reason_to_go_on(ended(tmp_path, "FAILED", "1:0", restarts=1))
