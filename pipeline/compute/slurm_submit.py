"""Turn a task into a SLURM job: what sbatch is asked for, and what it answers."""

import os
import re
import time
from collections.abc import Callable

from submitit import SlurmExecutor
from submitit.core.utils import FailedJobError

from pipeline.compute.signals import Preempted, asked_to_stop
from pipeline.compute.slurm_job import Job
from pipeline.compute.slurm_watch import command, unreachable

RETRY_SECONDS = 10


def submit(task, folder, patience) -> str:
    """The new job's number. ``ValueError`` where sbatch refuses it."""
    forget_outer_job()
    executor = SlurmExecutor(folder)
    executor.update_parameters(**parameters(task))
    with asked_to_stop() as stopping:  # a job whose number is not known could not be cancelled
        try:
            job = retried(lambda: executor.submit(Job(task, folder, patience)), stopping)
        finally:
            remove_leftovers(folder)
    if stopping.asked:
        command("scancel", job.job_id)
        raise Preempted
    print(f"job {job.job_id} submitted; its log: {job.paths.stdout}", flush=True)
    return job.job_id


def retried(sbatch: Callable, stopping):
    """What ``sbatch`` gives, as soon as the cluster's controller answers."""
    while True:
        try:
            return sbatch()
        except FailedJobError as error:
            message = str(error).strip()
            if stopping.asked:
                raise Preempted from None
            if not unreachable(message):
                raise ValueError(f"sbatch refuses the job: {last_words(message)}") from None
            print(f"cannot submit yet: {last_words(message)}", flush=True)
            time.sleep(RETRY_SECONDS)


def remove_leftovers(folder):
    """What submitit leaves of a submission: links, and everything where sbatch has refused."""
    for file in (*folder.glob(".submission_file_*"), *folder.glob("[!_]" * 32 + ".pkl")):
        file.unlink()


def last_words(message):
    return "; ".join(re.sub("^sbatch: (error: )?", "", line) for line in message.splitlines())


def parameters(task) -> dict:
    """What submitit is told to ask sbatch for."""
    compute = task.settings.compute
    slurm = compute.slurm
    options = {name.replace("-", "_"): value for name, value in slurm.options.items()}
    chosen = any(name.startswith("cpus_per_") for name in options)
    cpus = options.get("cpus_per_task") if chosen else compute.workers + 1
    return {
        "job_name": task.name,
        "nodes": slurm.nodes,
        "ntasks_per_node": ranks_of_a_node(compute),
        "gpus_per_node": compute.gpus or None,
        "cpus_per_task": cpus,
        "partition": slurm.partition,
        "signal_delay_s": slurm.signal_seconds,
        "setup": list(slurm.setup),
        "stderr_to_stdout": True,
        "wckey": None,
        # srun does not take --cpus-per-task from sbatch since SLURM 22.05
        "srun_args": ["--kill-on-bad-exit=1", *([f"--cpus-per-task={cpus}"] if cpus else [])],
        "additional_parameters": {
            "time": slurm.time_limit,
            **{name: value for name, value in options.items() if value is not False},
        },
    }  # fmt: skip


def ranks_of_a_node(compute) -> int:
    return compute.gpus or compute.processes or 1


def forget_outer_job():
    """Where this process is itself a SLURM job, that job's settings must not reach the new one."""
    if "SLURM_JOB_ID" in os.environ:
        for name in list(os.environ):
            if name.startswith(("SLURM_", "SLURMD_", "SRUN_")) and name != "SLURM_CONF":
                del os.environ[name]
