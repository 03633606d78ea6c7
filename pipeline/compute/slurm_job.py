"""What a SLURM job runs: one rank of a task, which is told to stop when its launcher is gone."""

import os
import socket
import sys
import traceback
from pathlib import Path

from pipeline.command_line import check_own_code, prepare_terminal
from pipeline.compute.signals import PREEMPTED, Preempted, ignore_signals, stop_on_signals
from pipeline.compute.slurm_guard import Guard
from pipeline.compute.task import Task
from pipeline.failures import explain, lost_a_rank
from pipeline.files import write_text


class Job:
    """Called by submitit in each of the job's processes."""

    def __init__(self, task: Task, folder: Path, patience: float):
        self.task = task
        self.folder = folder
        self.patience = patience

    def __call__(self):
        """Ends the process itself: submitit's own ends are a traceback, or asking for a requeue."""
        prepare_terminal()
        stop_on_signals()
        sys.exit(self.exit_code())

    def exit_code(self) -> int:
        try:
            self.work()
        except Preempted as error:
            ignore_signals()
            print(f"stopped by {error}; what is saved stays", flush=True)
        except Exception as error:
            return self.report(error)
        return 0

    def report(self, error) -> int:
        """Into the log, and where the launcher looks, unless it is another rank's fault."""
        text = explain(error)
        if text is None:
            traceback.print_exc()
            text = f"{type(error).__name__} on {socket.gethostname()}; the log has the traceback"
        if lost_a_rank(error):
            return PREEMPTED
        print(f"error: {text}", flush=True)
        write_text(self.folder / error_file(os.environ), text)
        return 1

    def work(self):
        check_own_code()
        from submitit.helpers import TorchDistributedEnvironment

        TorchDistributedEnvironment().export(set_cuda_visible_devices=False, overwrite=True)
        if not self.task.settings.compute.gpus:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""
        Guard(self.folder, self.patience).start()
        from pipeline.compute.ranks import ranks

        with ranks():
            self.task.work()


def error_file(environment) -> str:
    """Where a rank leaves its error; a job that SLURM starts again has other files."""
    restarts = environment.get("SLURM_RESTART_COUNT", "0")
    return f"{environment['SLURM_JOB_ID']}_{restarts}_{environment['SLURM_PROCID']}_error.txt"
