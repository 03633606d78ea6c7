"""Run a task to its end on the backend that params.yaml names."""

from pipeline.compute.signals import Preempted
from pipeline.compute.task import Task
from pipeline.files import locked


def complete(task: Task) -> None:
    """Finish the task on its workers and collect its results.

    A task that another stage is working on is waited for, and not done twice. ``Preempted`` where
    the workers saved and stopped.
    """
    with locked(task.folder):
        if not task.finished():
            run_on_workers(task)
        if not task.finished():
            raise Preempted
        task.collect()


def run_on_workers(task):
    if task.settings.compute.backend == "slurm":
        from pipeline.compute.slurm import run_on_slurm

        run_on_slurm(task)
    else:
        from pipeline.compute.local import run_locally

        run_locally(task)
