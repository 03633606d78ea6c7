"""In a SLURM job, a thread that ends a run which nobody waits for any more.

That is one whose launcher is dead, and one on a node that SLURM has given up: it has started the
job again elsewhere, in the same folder.
"""

import os
import signal
import threading
import time
from pathlib import Path

from pipeline.compute.signals import PREEMPTED

HEARTBEAT = "heartbeat"  # the file that the launcher changes as long as it lives
RUN = "run"  # the file that names the run which works in the folder now


class Guard:
    """Looks at the two files in ``folder``; ``patience`` in seconds, as for the launcher."""

    def __init__(self, folder: Path, patience: float):
        self.folder = folder
        self.patience = patience
        self.run = f"{os.environ['SLURM_JOB_ID']} {os.environ.get('SLURM_RESTART_COUNT', 0)}"
        self.began = self.told = False
        self.heartbeat, self.changed = None, time.monotonic()

    def start(self):
        """Called by every rank; the first one announces the run."""
        if os.environ["RANK"] == "0":
            (self.folder / RUN).write_text(self.run)
        threading.Thread(target=self.watch, daemon=True).start()

    def watch(self):
        while True:
            self.end_where_replaced()
            self.end_where_orphaned()
            time.sleep(self.patience / 20)

    def end_where_replaced(self):
        now = content(self.folder / RUN)
        self.began = self.began or now == self.run
        if self.began and now and now != self.run:
            print("another run of this job has begun: stopping", flush=True)
            os._exit(PREEMPTED)

    def end_where_orphaned(self):
        """As for a signal, and at once when that has not helped. Compares no clocks of machines."""
        now = content(self.folder / HEARTBEAT)
        if now != self.heartbeat:
            self.heartbeat, self.changed = now, time.monotonic()
        silence = time.monotonic() - self.changed
        if silence > self.patience and not self.told:
            print(f"no sign of the launcher for {silence:.0f} s: stopping", flush=True)
            os.kill(os.getpid(), signal.SIGTERM)
            self.told = True
        if silence > 3 * self.patience:
            os._exit(PREEMPTED)


def content(path):
    """The file's text; None also where the file server does not answer."""
    try:
        return path.read_text()
    except OSError:
        return None
