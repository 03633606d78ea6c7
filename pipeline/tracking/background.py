"""The live mirror: how a training process lets MLflow follow it, without importing mlflow."""

import logging
import subprocess
import sys
import time
from pathlib import Path

INTERVAL_SECONDS = 60
CODE = Path(__file__).resolve().parents[2]


def follower(params):
    """What a training tells of its scalars, or None where tracking is off."""
    return LiveMirror(Path()).start if params.tracking.enabled else None


class LiveMirror:
    """Starts ``python -m pipeline.tracking sync --live`` at most once a minute, one at a time.

    Made when a training starts, in the project's folder ``root``: once params.yaml is another one,
    the training is not of what stands there, and is not followed.
    """

    def __init__(self, root: Path):
        self.root = Path(root).resolve()
        self.params = self.read_params()
        self.process = None
        self.last_start = float("-inf")

    def start(self, scalars):
        """``scalars`` maps the method in training to its scalars.jsonl; returns at once.

        The mirror is a session of its own that ends itself after two minutes at the latest, so
        neither a signal to the training nor the training's end leaves it hanging.
        """
        busy = self.process is not None and self.process.poll() is None
        if busy or time.monotonic() - self.last_start < INTERVAL_SECONDS:
            return
        self.last_start = time.monotonic()
        try:
            if self.read_params() == self.params:
                self.process = self.spawn(scalars)
        except OSError as error:
            logging.getLogger(__name__).warning("the live MLflow mirror did not start: %s", error)

    def read_params(self):
        path = self.root / "params.yaml"
        return path.read_bytes() if path.is_file() else None

    def spawn(self, scalars):
        command = [sys.executable, "-m", "pipeline.tracking", "sync", "--live"]
        command += ["--root", str(self.root)]
        for method, path in scalars.items():
            command += ["--scalars", f"{method}={Path(path).resolve()}"]
        with open(self.root / ".mlflow-mirror.log", "w") as log:
            return subprocess.Popen(
                command,
                cwd=CODE,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
