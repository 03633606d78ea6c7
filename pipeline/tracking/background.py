"""The live mirror: how a training process lets MLflow follow it, without importing mlflow."""

import logging
import subprocess
import sys
import time
from pathlib import Path

INTERVAL_SECONDS = 60
CODE = Path(__file__).resolve().parents[2]


class LiveMirror:
    """Starts ``python -m pipeline.tracking sync --live`` at most once a minute, one at a time."""

    def __init__(self):
        self.process = None
        self.last_start = float("-inf")

    def start(self, root, scalars):
        """``scalars`` maps the method in training to its scalars.jsonl; returns at once.

        The mirror is a session of its own that ends itself after two minutes at the latest, so
        neither a signal to the training nor the training's end leaves it hanging.
        """
        busy = self.process is not None and self.process.poll() is None
        if busy or time.monotonic() - self.last_start < INTERVAL_SECONDS:
            return
        self.last_start = time.monotonic()
        try:
            self.process = self.spawn(Path(root).resolve(), scalars)
        except OSError as error:
            logging.getLogger(__name__).warning("the live MLflow mirror did not start: %s", error)

    @staticmethod
    def spawn(root, scalars):
        command = [sys.executable, "-m", "pipeline.tracking", "sync", "--live", "--root", str(root)]
        for method, path in scalars.items():
            command += ["--scalars", f"{method}={Path(path).resolve()}"]
        with open(root / ".mlflow-mirror.log", "w") as log:
            return subprocess.Popen(
                command,
                cwd=CODE,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


_mirror = LiveMirror()


def mirror_in_background(root, scalars):
    """Let MLflow catch up with the folder ``root`` and a running training; never waits or raises.

    For rank 0, after an epoch: ``mirror_in_background(root, {"bacl": folder / "scalars.jsonl"})``.
    """
    _mirror.start(root, scalars)
