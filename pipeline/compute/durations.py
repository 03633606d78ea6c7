"""How long stages took here before, and so how long one will take."""

import json
import socket
import statistics
from pathlib import Path

FILE = Path(".dvc", "tmp", "durations.jsonl")  # of the project, which git does not see
READ_BYTES = 100_000  # from the end: some hundred stages
LAST = 5  # runs that count, by their median: one on a busy machine, or one resumed, does not


class Durations:
    """Of this machine, and of stages with the same ``work``: what else takes other times.

    ``sizes``: by how much a stage has to do its time is divided; left out, 1.
    """

    def __init__(self, project: Path, work: str, sizes: dict[str, int]):
        self.path, self.sizes = project / FILE, sizes
        self.same = {"host": socket.gethostname(), "work": work}

    def note(self, stage: str, seconds: float) -> None:
        line = json.dumps({**self.same, "stage": stage, "seconds": seconds / self.size(stage)})
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(line + "\n")

    def expected(self, stage: str) -> float | None:
        """In seconds: as the stage took, or one of its kind (`predict@a` for `predict@b`)."""
        known = [entry for entry in self.read() if self.same.items() <= entry.items()]
        own = [entry for entry in known if entry["stage"] == stage]
        kin = [entry for entry in known if kind(entry["stage"]) == kind(stage)]
        last = [entry["seconds"] for entry in (own or kin)[-LAST:]]
        return self.size(stage) * statistics.median(last) if last else None

    def size(self, stage):
        return self.sizes.get(stage, 1)

    def read(self) -> list[dict]:
        if not self.path.is_file():
            return []
        with open(self.path, "rb") as file:
            file.seek(max(0, self.path.stat().st_size - READ_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
        return [entry for line in lines if (entry := parsed(line))]


def parsed(line) -> dict | None:
    """None of a line that was cut: the first of those read, or one of a killed stage."""
    try:
        return json.loads(line)
    except ValueError:
        return None


def kind(stage: str) -> str:
    return stage.partition("@")[0]
