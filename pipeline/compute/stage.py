"""How a stage of dvc.yaml runs from the command line: its messages, signals and exit codes."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from pipeline.command_line import check_own_code, one_line, prepare_terminal
from pipeline.compute.allocator import look_for_garbage_rarely
from pipeline.compute.chain_progress import shown
from pipeline.compute.last_run import at_work
from pipeline.compute.signals import (
    PREEMPTED,
    Preempted,
    die_with_parent,
    ignore_signals,
    leave_on_signals,
    stop_on_signals,
)
from pipeline.runs.git_state import check_experiment


def run_stage(stage: Callable, description: str, takes_name: bool = False) -> None:
    """Run ``stage()`` or ``stage(name)`` from the command line.

    A user's mistake (``ValueError``), a failing disk (``OSError``) and full memory end in one line
    and exit code 1, a signal in exit code 85 (``PREEMPTED``); anything else is our own bug and
    keeps its traceback.
    """
    prepare_terminal()
    look_for_garbage_rarely()
    stage_name = Path(sys.argv[0]).stem
    parser = argparse.ArgumentParser(
        prog=f"python -m stages.{stage_name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if takes_name:
        parser.add_argument("name", help="which one: a name from params.yaml")
    names = vars(parser.parse_args()).values()
    try:
        with one_line():
            stop_on_signals()
            if "DVC_STAGE" in os.environ:  # a stage started by hand outlives its terminal as usual
                die_with_parent()  # DVC itself would leave it running
            check_own_code()
            check_experiment()
            with shown(), at_work("@".join([stage_name, *names])):
                stage(*names)
            leave_on_signals()
    except (Preempted, KeyboardInterrupt):
        ignore_signals()
        print("stopped; the same command goes on from what is saved", file=sys.stderr)
        sys.exit(PREEMPTED)
