"""Members as DVC experiments: their names, which are finished, and how one is started.

A name ends in a digest of the member's settings, dvc.yaml and the code, so an experiment of that
name, which DVC makes only of a run that succeeded, is that member, finished.
"""

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

from pipeline.compute.signals import PR_SET_PDEATHSIG
from pipeline.files import file_digest
from pipeline.runs.experiments import plain
from pipeline.runs.grid import Member
from pipeline.runs.identity import chain_inputs, digest, results_only


def experiment_name(grid: str, member: Member) -> str:
    inputs = results_only(chain_inputs(member.params))
    return f"{plain(f'{grid}-{member.label}')}-{digest([inputs, file_digest('dvc.yaml')], 10)}"


def start_experiment(name: str, overrides, log: Path) -> subprocess.Popen:
    """Run the experiment in a session of its own: Ctrl-C reaches the command only, which then
    stops its members; the kernel stops them where the command has been killed."""
    log.parent.mkdir(parents=True, exist_ok=True)
    changes = [word for override in overrides for word in ("--set-param", override)]
    command = ["-m", "pipeline.ablation.experiment", str(os.getpid())]
    # the stages' `python`, where the environment is not activated; and a log that can be read
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    environment = {**os.environ, "PATH": path, "PYTHONIOENCODING": "utf-8"}
    with log.open("w") as output:
        return subprocess.Popen(
            [sys.executable, *command, "exp", "run", "--temp", "--name", name, *changes],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )


def main() -> int:
    """In the process of one experiment: DVC, stopped by its stages.

    A SIGTERM would end DVC at once, maybe while it has the user's changes stashed and a member's
    overrides in params.yaml, and leave its temporary copy behind. So it is passed on to the stage,
    now or as soon as there is one; the stage saves, and DVC cleans up after a stage that failed.
    """
    import psutil
    from dvc.cli import main as dvc

    told = set()

    def stop(*_):
        for child in psutil.Process().children():
            if child.pid not in told and is_stage(child):
                told.add(child.pid)
                child.terminate()
        signal.setitimer(signal.ITIMER_REAL, 0.5)

    def is_stage(process):
        try:
            return "DVC_STAGE" in process.environ()
        except psutil.Error:
            return False

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGALRM, stop)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(sys.argv[1]):
        return 1  # the command is gone, and nothing has been started yet
    return dvc(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
