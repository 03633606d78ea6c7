"""One rank of a task; started by torchrun: python -m pipeline.compute.worker TASK.pickle"""

import os
import pickle
import sys
from pathlib import Path

from pipeline.compute.errors import explain
from pipeline.compute.signals import (
    Preempted,
    die_with_parent,
    ignore_signals,
    stop_on_signals,
)
from pipeline.masking import mask_output


def main(path: Path) -> None:
    """Run the task's work; leave a user's mistake in a file beside it, where the launcher looks."""
    mask_output()
    die_with_parent(int(os.environ["LAUNCHER_PID"]))
    stop_on_signals()
    try:
        run(pickle.loads(path.read_bytes()))
        ignore_signals()
    except Preempted:
        ignore_signals()
    except (ValueError, OSError, RuntimeError) as error:
        note, text = path.with_suffix(".error"), explain(error)
        if text:
            note.write_text(text, encoding="utf-8")
        elif not note.is_file():  # else this rank lost the connection to the one that wrote it
            raise
        sys.exit(1)


def run(task):
    from pipeline.compute.ranks import ranks

    with ranks():
        task.work()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
