"""Notes of the stages that are at work, by which the next start knows of one that was killed.

SIGKILL, which is also how the kernel gets memory back, leaves no time for a last word. A note whose
writer is gone was not removed by it; its lock, which ends with a process, tells.
"""

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

BOOT = Path("/proc/sys/kernel/random/boot_id")
STATISTICS = Path("/proc/vmstat")
LESS = "lower compute.workers, compute.processes or compute.images_per_gpu"


@contextlib.contextmanager
def at_work(stage: str) -> Iterator[None]:
    """Tell of earlier runs of ``stage`` that were killed; inside, a note says that it works."""
    folder = Path(os.environ.get("DVC_ROOT", "."), ".checkpoints")
    folder.mkdir(parents=True, exist_ok=True)
    name, now = quote(stage, safe="@"), machine()
    for note in notes_of_the_dead(folder, name):
        print(what_happened(stage, note, now), flush=True)
    path = folder / f"{name}.{secrets.token_hex(4)}.running"
    with open(path, "w", encoding="utf-8") as file:
        with contextlib.suppress(OSError):  # a file system without locks has no notes of the dead
            fcntl.lockf(file, fcntl.LOCK_EX)  # not flock: a data-loading worker would inherit that
        began = datetime.now().astimezone().isoformat(" ", "minutes")
        file.write(json.dumps({"began": began, **now}))
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def machine() -> dict:
    """Which machine since which start of it, and how many processes its kernel has killed to get
    memory back; None where it does not say."""
    boot = BOOT.read_text().strip() if BOOT.is_file() else None
    lines = STATISTICS.read_text().splitlines() if STATISTICS.is_file() else []
    killed = next((line.split()[1] for line in lines if line.startswith("oom_kill ")), None)
    return {"boot": boot, "killed_for_memory": killed}


def notes_of_the_dead(folder, name) -> list[dict]:
    """The notes whose writers are gone, which are removed; a living one holds its lock."""
    notes = []
    for path in sorted(folder.glob(f"{name}.*.running")):
        with contextlib.suppress(OSError), open(path, "r+", encoding="utf-8") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
            with contextlib.suppress(ValueError):  # its writer was killed before it had written
                notes.append(json.load(file))
    return notes


def what_happened(stage, note, now) -> str:
    text = f"the last {stage}, begun at {note['began']}, was killed"
    less = LESS if stage.startswith(("train", "predict")) else "give it more"
    if note["boot"] != now["boot"] or now["killed_for_memory"] is None:
        return f"{text}, or its machine was lost; where memory is short, {less}"
    if note["killed_for_memory"] == now["killed_for_memory"]:
        return f"{text}, not by the kernel for want of memory"
    return f"{text}; since then the kernel has killed for want of memory: {less}"
