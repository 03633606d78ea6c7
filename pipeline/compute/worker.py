"""One rank of a task; started by torchrun: python -m pipeline.compute.worker TASK.pickle"""

import os
import pickle
import sys
from pathlib import Path

from pipeline.command_line import check_own_code, prepare_terminal
from pipeline.compute.allocator import look_for_garbage_rarely
from pipeline.compute.signals import (
    Preempted,
    die_with_parent,
    ignore_signals,
    stop_on_signals,
)
from pipeline.failures import explain, last_line, lost_a_rank


def main(path: Path) -> None:
    """Run the task's work; leave a user's mistake in a file beside it, where the launcher looks."""
    die_with_parent(int(os.environ["LAUNCHER_PID"]))
    prepare_terminal()
    look_for_garbage_rarely()
    stop_on_signals()
    try:
        check_own_code()
        run(pickle.loads(path.read_bytes()))
        ignore_signals()
    except Preempted:
        ignore_signals()
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        if lost_a_rank(error):  # which has its own error, or was killed
            sys.exit(f"rank {os.environ['RANK']} stops: {last_line(error)}")
        if not (text := explain(error)):
            raise
        path.with_suffix(".error").write_text(text, encoding="utf-8")
        sys.exit(1)


def run(task):
    from pipeline.compute.ranks import ranks

    with ranks():
        task.work()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
