"""One `dvc repro` and the processes around it, for the kill harness."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil

RUNNING = re.compile(r"^Running stage '([^']+)'", re.MULTILINE)
MIRROR = "pipeline.tracking"  # the live mirror outlives its training, by two minutes at most


def environment(scratch):
    """Of a shell with this environment's programs; what DVC and Python keep elsewhere: scratch."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    own = {"PATH": path, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", "TMPDIR": str(scratch)}
    who = [f"GIT_{role}_{what}" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")]
    own |= {"DVC_SITE_CACHE_DIR": str(scratch / "site"), "DVC_NO_ANALYTICS": "1"}
    clean = {key: value for key, value in os.environ.items() if key != "DVC_ROOT"}
    return {**clean, **dict.fromkeys(who, "harness"), **own}


class Repro:
    """A running `dvc repro` in a session of its own, and what it has printed so far."""

    def __init__(self, project, scratch):
        self.project = project
        self.lines = []  # (seconds since the start, text)
        self.started = time.monotonic()
        self.dvc = subprocess.Popen(
            ["dvc", "repro"], cwd=project, env=environment(scratch), start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            errors="replace",
        )  # fmt: skip
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.dvc.stdout:
            self.lines.append((time.monotonic() - self.started, line))

    def text(self):
        return "".join(line for _, line in self.lines)

    def alive(self):
        return self.dvc.poll() is None

    def wait(self, seconds):
        """Whether dvc has ended by then."""
        try:
            self.dvc.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stages(self):
        """[(stage, seconds since the start)] in the order in which they began."""
        found = [(RUNNING.match(line), seconds) for seconds, line in list(self.lines)]
        return [(match[1], seconds) for match, seconds in found if match]

    def stage_process(self):
        """The process of the stage under way, None between two stages."""
        try:
            children = psutil.Process(self.dvc.pid).children()
            return next((p for p in children if "stages." in " ".join(p.cmdline())), None)
        except psutil.NoSuchProcess:
            return None

    def data_worker(self):
        """A data-loading worker: a fork of the stage's process."""
        stage = self.stage_process()
        if stage is None:
            return None
        try:
            command = stage.cmdline()
            workers = [p for p in stage.children() if p.cmdline() == command]
        except psutil.NoSuchProcess:
            return None
        return workers[0] if workers else None


def catches(process, number):
    """Whether the process has a handler for the signal."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    mask = int(re.search(r"SigCgt:\s*(\w+)", status)[1], 16)
    return bool(mask >> (number - 1) & 1)


def deliver(repro, target, number):
    """Send the signal to ``dvc``, ``stage``, ``worker`` or the whole ``group``.

    Returns (what really got it, the stage's process or None, whether that handles SIGTERM); where
    there is no worker the stage stands in, and for a stage between two stages dvc.
    """
    stage, worker = repro.stage_process(), repro.data_worker()
    if target == "worker" and worker is None:
        target = "stage"
    if target == "stage" and stage is None:
        target = "dvc"
    try:
        handled = stage is not None and catches(stage, signal.SIGTERM)
        if target == "group":
            os.killpg(repro.dvc.pid, number)
        else:
            {"dvc": repro.dvc, "stage": stage, "worker": worker}[target].send_signal(number)
    except (ProcessLookupError, FileNotFoundError, psutil.NoSuchProcess):
        return f"{target} (gone)", stage, False
    return target, stage, handled


def processes_of(project):
    """Other living processes that work in the project, or were started from it."""
    others = (p for p in psutil.process_iter() if p.pid != os.getpid())
    return [p for p in others if belongs_to(p, str(project))]


def belongs_to(process, folder):
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        command = process.cmdline()
        places = [process.cwd(), process.environ().get("DVC_ROOT", ""), *command]
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return False
    inside = any(place == folder or place.startswith(folder + "/") for place in places)
    return inside and MIRROR not in command


def left_after(project, seconds):
    """(processes that are still there after so many seconds, how long the others took)."""
    start = time.monotonic()
    while (left := processes_of(project)) and time.monotonic() - start < seconds:
        time.sleep(0.2)
    described = [f"{p.pid} {' '.join(p.cmdline())[:120]}" for p in left if p.is_running()]
    return described, time.monotonic() - start
