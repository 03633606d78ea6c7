"""Run a task as a SLURM job, and wait for it; the job itself is in slurm_job.py."""

import os
import threading
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from shutil import which

from pipeline.compute.signals import Preempted
from pipeline.compute.slurm_end import reason_to_go_on
from pipeline.compute.slurm_guard import HEARTBEAT
from pipeline.compute.slurm_submit import ranks_of_a_node, submit
from pipeline.compute.slurm_watch import End, Watch, command, is_of, submitted_before, unreachable
from pipeline.compute.task import Task

PATIENCE = 120  # seconds: a job whose launcher gives no sign of life for so long saves and ends
ATTEMPTS = 3  # jobs in a row that may end without having saved anything
STOP_SECONDS = 60  # to save, when the stage itself is stopped
SAY = partial(print, flush=True)


def run_on_slurm(task: Task, patience: float = PATIENCE) -> None:
    """Submit jobs until the task is finished, and show what they print.

    ``ValueError`` where a job fails or is cancelled. When this process is told to stop, so is the
    job.
    """
    for program in ("sbatch", "srun", "scontrol", "scancel"):
        if not which(program):
            raise ValueError(
                f"{program} is not on this machine; start the stage on a login node of the "
                "cluster, or set compute.backend to local"
            )
    task.check_ranks(task.settings.compute.slurm.nodes * ranks_of_a_node(task.settings.compute))
    folder = task.folder / "slurm"
    folder.mkdir(parents=True, exist_ok=True)
    with alive(folder / HEARTBEAT, patience / 20):
        run_jobs(task, folder, patience)


def run_jobs(task, folder, patience):
    job, fruitless = job_of_a_dead_launcher(folder), 0
    while not finished(task):  # the job of a dead launcher may have come to its end
        before = task.saved()
        job = job or submit(task, folder, patience)
        end = follow(job, folder)
        if finished(task):
            return
        reason = reason_to_go_on(end)
        fruitless = fruitless + 1 if task.saved() == before else 0
        if fruitless == ATTEMPTS:
            raise ValueError(
                f"{ATTEMPTS} jobs in a row have saved nothing, the last one {reason}; is "
                f"compute.slurm.time_limit too short? its log: {end.log}"
            )
        SAY(f"job {job} {reason}; submitting the rest")
        job = None


def follow(job, folder) -> End:
    """Wait for the job's end. Where this process is told to stop, the job saves and ends first."""
    watch = Watch(job, folder)
    try:
        return watch.until_end()
    except (Preempted, KeyboardInterrupt):
        stop(watch)
        raise


def stop(watch):
    """Let the job save, and end it; a second signal ends it at once."""
    SAY(f"stopping job {watch.job}")
    save = ("scancel", "--signal=USR1", watch.job)
    try:
        if watch.state_is("RUNNING") and command(*save).returncode == 0:
            watch.until_end(STOP_SECONDS)
    finally:
        answer = command("scancel", watch.job)
        if unreachable(answer):
            SAY(f"cannot cancel job {watch.job}, which ends by itself: {answer.stderr.strip()}")


def job_of_a_dead_launcher(folder):
    """The task's job that still waits or runs; one that is ending, or of another folder, ends."""
    if not (job := submitted_before(folder)):
        return None
    SAY(f"job {job} of an earlier run is still there")
    watch = Watch(job, folder)
    if is_of(Path.cwd(), job) and not watch.state_is("COMPLETING"):
        return job
    stop(watch)
    watch.until_end(STOP_SECONDS)
    return None


def finished(task) -> bool:
    """Look at the folder first: a file system of many machines may show an old state of it."""
    list(task.folder.iterdir())
    return task.finished()


@contextmanager
def alive(heartbeat, seconds):
    """Inside, the file changes all the time, so that jobs know of their launcher."""
    done = threading.Event()
    thread = threading.Thread(target=beat, args=(heartbeat, seconds, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def beat(heartbeat, seconds, done):
    count = 0
    while not done.wait(seconds if count else 0):
        count += 1
        try:
            heartbeat.write_text(f"{os.getpid()} {count}")
        except OSError as error:  # a file server that is away comes back
            SAY(f"{heartbeat}: {error}")
