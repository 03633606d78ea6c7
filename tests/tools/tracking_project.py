"""A folder as a finished pipeline leaves it, and a real MLflow server."""

import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request

CATEGORIES = "id,name,frequency,image_count,instance_count\n1,star,r,5,5\n2,cross,f,200,300\n"
IMAGES = {"images": [{"id": 1, "neg_category_ids": []}], "annotations": [], "categories": []}


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def scalars(steps, loss=2.0):
    return "".join(json.dumps({"step": s, "loss": loss, "lr": 0.1}) + "\n" for s in steps)


def write_training(folder, method, text):
    write(folder / f"models/{method}/scalars.jsonl", text)
    write(folder / f"models/{method}/config.py", "epochs = 12\n")
    environment = {"started": "2026-01-02T03:04:05+00:00", "seconds": 2.5, "python": "3.11"}
    write(folder / f"models/{method}/environment.json", json.dumps(environment))


def write_project(folder, root):
    """With the params.yaml of ``root``."""
    shutil.copy(root / "params.yaml", folder)
    for split in ("train", "val"):
        write(folder / f"data/symbols/{split}.json", json.dumps(IMAGES))
    write(folder / "data/symbols/categories.csv", CATEGORIES)
    for number, method in enumerate(("softmax", "bce", "bacl"), 1):
        write_training(folder, method, scalars(range(1, 21)))
        metrics = {"AP": number / 10, "APr": number / 20, "APc": None, "fixed/AP": number / 10}
        metrics |= {"simcal/AP1": number / 40, "segm/fixed/simcal/AP4": 0.5}
        write(folder / f"reports/metrics/{method}.json", json.dumps(metrics))
    write(folder / "reports/index.html", "<h1>AP</h1>")
    write(folder / "reports/ap_by_frequency.csv", "method,AP\nbacl,0.3\n")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Server:
    """`mlflow server` as a user starts it in ``folder``, with no flag that names a store."""

    def __init__(self, folder, *options):
        self.folder, self.port, self.options = folder, free_port(), options
        self.uri = f"http://127.0.0.1:{self.port}"

    def __enter__(self):
        self.start()
        return self

    def start(self):
        command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
        # with pytest's variable MLflow would check its sessions as in its own tests
        foreign = ("MLFLOW", "_MLFLOW", "PYTEST_CURRENT_TEST")
        clean = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
        with open(self.folder / "server.log", "w") as log:
            self.process = subprocess.Popen(
                [*command, "--port", str(self.port), *self.options],
                cwd=self.folder,
                env=clean | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},  # ten processes less
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.wait_until_it_answers()

    def __exit__(self, *error):
        with contextlib.suppress(ProcessLookupError):
            self.signal(signal.SIGTERM)
        self.process.wait(timeout=30)

    def signal(self, number):
        os.killpg(self.process.pid, number)

    def wait_until_it_answers(self, seconds=200):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            with (
                contextlib.suppress(OSError),
                urllib.request.urlopen(f"{self.uri}/health", timeout=2),
            ):
                return
            time.sleep(0.3)
        raise AssertionError((self.folder / "server.log").read_text())

    def wait_for_runs(self, experiment, number, seconds=60):
        """Until a mirror has made so many runs, and is in the middle of its work."""
        query = """SELECT count(*) FROM runs JOIN experiments USING (experiment_id)
                   WHERE experiments.name = ?"""
        deadline = time.monotonic() + seconds
        with contextlib.closing(sqlite3.connect(self.folder / "mlflow.db")) as database:
            while database.execute(query, [experiment]).fetchone()[0] < number:
                assert time.monotonic() < deadline
                time.sleep(0.01)

    @contextlib.contextmanager
    def stopped(self):
        """It takes connections and never answers."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    @contextlib.contextmanager
    def slow_after_a_run(self, experiment):
        """Once a mirror is at work, every answer takes a fraction of a second."""
        over = threading.Event()

        def hold_up():
            self.wait_for_runs(experiment, 1)
            while not over.wait(0.02):
                with self.stopped():
                    time.sleep(0.4)

        thread = threading.Thread(target=hold_up)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
