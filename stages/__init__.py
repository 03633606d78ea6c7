"""One thin script per DVC stage: read params, call ``pipeline``, write outputs."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from pipeline.compute.chain_progress import shown
from pipeline.compute.errors import explain
from pipeline.compute.signals import (
    PREEMPTED,
    Preempted,
    die_with_parent,
    ignore_signals,
    leave_on_signals,
    stop_on_signals,
)
from pipeline.masking import mask_output


def run_stage(stage: Callable, description: str, takes_name: bool = False) -> None:
    """Run ``stage()`` or ``stage(name)`` from the command line.

    A user's mistake (``ValueError``), a failing disk (``OSError``) and a full GPU end in one line
    and exit code 1, a signal in exit code 85 (``PREEMPTED``); anything else is our own bug and
    keeps its traceback.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m stages.{Path(sys.argv[0]).stem}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if takes_name:
        parser.add_argument("name", help="which one: a name from params.yaml")
    arguments = parser.parse_args()
    mask_output()
    try:
        stop_on_signals()
        if "DVC_STAGE" in os.environ:  # a stage started by hand outlives its terminal as usual
            die_with_parent()  # DVC itself would leave it running
        with shown():
            stage(*vars(arguments).values())
        leave_on_signals()
    except (Preempted, KeyboardInterrupt):
        ignore_signals()
        print("stopped; the same command goes on from what is saved", file=sys.stderr)
        sys.exit(PREEMPTED)
    except (ValueError, OSError, RuntimeError) as error:
        text = explain(error)
        if text is None:
            raise
        print(f"error: {text}", file=sys.stderr)
        sys.exit(1)
