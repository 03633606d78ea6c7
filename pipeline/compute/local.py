"""Work on this machine: in this process, or in several under torchrun."""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.compute.cores import cores
from pipeline.compute.leases import leased
from pipeline.compute.signals import KILLED, Preempted
from pipeline.compute.task import Task


def run_locally(task: Task) -> None:
    """Run the task on the GPUs it gets, one rank each, or on the CPU.

    This process must not have looked for GPUs before: CUDA reads the variable only once.
    """
    compute = task.settings.compute
    with leased(compute, lambda count: fits(task, count)) as devices:
        count = len(devices) or compute.processes or task.cpu_ranks(cores())
        task.check_ranks(count)
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(devices)
        if count == 1:
            task.work()
        else:
            run_ranks(task, count)


def fits(task, count):
    try:
        task.check_ranks(count)
    except ValueError:
        return False
    return True


def run_ranks(task, count):
    """``ValueError`` with the error of the first rank that failed."""
    with pickled(task) as path:
        code = wait(start(path, count))
        error = path.with_suffix(".error")
        if error.is_file():
            raise ValueError(error.read_text(encoding="utf-8"))
        if code == KILLED:
            raise ValueError(
                f"a rank of {task.name} was killed, by hand or by the kernel for want of memory; "
                "if that is short, lower compute.workers, compute.processes or "
                "compute.images_per_gpu"
            )
        if code:
            by = f"by {signal.Signals(code - 128).name}" if code > 128 else "with an error"
            raise ValueError(f"a rank of {task.name} ended {by}; see above")


@contextmanager
def pickled(task) -> Iterator[Path]:
    """A file with the task: params.yaml may be edited before the ranks have started."""
    path = task.folder / "task.pickle"
    path.with_suffix(".error").unlink(missing_ok=True)
    path.write_bytes(pickle.dumps(task))
    try:
        yield path
    finally:
        path.unlink()
        path.with_suffix(".error").unlink(missing_ok=True)


def start(path, count):
    """torchrun in a group of its own: it passes signals to its ranks, and nobody else does."""
    own = {"OMP_NUM_THREADS": "1", "LAUNCHER_PID": str(os.getpid())}  # torchrun would tell of it
    environment = {**os.environ, **own}
    command = ["-m", "pipeline.compute.torchrun", str(count), "pipeline.compute.worker", str(path)]
    return subprocess.Popen([sys.executable, *command], env=environment, start_new_session=True)


def wait(process):
    """The exit code; told to stop, this process tells the ranks and waits until they have saved."""
    try:
        return process.wait()
    except (Preempted, KeyboardInterrupt):
        process.terminate()
        process.wait()
        raise
