"""One thin script per DVC stage: read params, call ``pipeline``, write outputs."""

import argparse
import ctypes
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

PR_SET_PDEATHSIG = 1


def run_stage(stage: Callable, description: str, takes_name: bool = False) -> None:
    """Run ``stage()`` or ``stage(name)`` from the command line.

    A user's mistake (``ValueError``), a failing disk (``OSError``) and a full GPU end in one line
    and exit code 1; anything else is our own bug and keeps its traceback.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m stages.{Path(sys.argv[0]).stem}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if takes_name:
        parser.add_argument("name", help="which one: a name from params.yaml")
    arguments = parser.parse_args()
    die_with_dvc()
    try:
        stage(*vars(arguments).values())
    except (ValueError, OSError) as error:
        # from a data-loading worker an error arrives with its traceback; the last line says it
        print(f"error: {str(error).strip().splitlines()[-1]}", file=sys.stderr)
        sys.exit(1)
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":  # torch's, which is not imported here
            raise
        print("error: out of GPU memory; lower compute.images_per_gpu", file=sys.stderr)
        sys.exit(1)


def die_with_dvc() -> None:
    """Ask the kernel (Linux) to end this stage when the `dvc` that runs it dies.

    DVC itself would leave it running. A stage started by hand outlives its terminal as usual.
    """
    if sys.platform == "linux" and "DVC_STAGE" in os.environ:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
