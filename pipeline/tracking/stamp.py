"""What was mirrored last: the reason why a sync without a change costs no import of mlflow."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.files import read_json, write_json

STAMP = ".mlflow-mirror.json"
MIRRORED = (
    "params.yaml",
    "dvc.yaml",
    "data/*/train.json",
    "data/*/val.json",
    "data/*/categories.csv",
    "models/*/scalars.jsonl",
    "models/*/environment.json",
    "models/*/config.py",
    "predictions/*.parquet",
    "reports/metrics/*.json",
    "reports/per_category/*.csv",
    "reports/index.html",
    "reports/ap_by_frequency.*",
    "reports/plots/**/*",
)
OWN_ENTRY = re.compile(r"^  track:\n(?:    .*\n)*", re.MULTILINE)
IMAGE_KEY = b'"neg_category_ids"'  # stands once in every image of an LVIS-format file


@dataclass(frozen=True)
class FileScan:
    """What a reading of a file gave; ``images`` is 0 for anything but annotations."""

    digest: str
    images: int


def state_digest(root, uri, experiment):
    """One text that changes when a mirrored file, the server or the experiment does."""
    digest = hashlib.md5(f"{uri}\n{experiment}\n".encode(), usedforsecurity=False)
    for pattern in MIRRORED:
        for path in sorted(root.glob(pattern)):
            digest.update(f"{path.relative_to(root)} {file_state(path)}\n".encode())
    digest.update(lock_text(root).encode())
    return digest.hexdigest()


def lock_text(root):
    """dvc.lock without what DVC writes there after the mirror's own stage."""
    path = root / "dvc.lock"
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    return OWN_ENTRY.sub("", text)


def file_state(path):
    info = path.stat()
    return [info.st_size, info.st_mtime_ns]


def read_stamp(root):
    """The stamp, or an empty one where it is missing or damaged: then the mirror is made again."""
    try:
        stamp = read_json(root / STAMP)
    except ValueError:
        stamp = {}
    return stamp if isinstance(stamp, dict) else {}


def write_stamp(root, digest, scans):
    write_json(root / STAMP, {"digest": digest, "scans": scans})


class FileScanner:
    """Reads annotation files and weights, gigabytes with LVIS, only once while they stay equal."""

    def __init__(self, stamp):
        self.known = stamp.get("scans", {})
        self.used = {}

    def scan(self, path: Path) -> FileScan:
        """Digest and number of images of a file; ``OSError`` if it is not there."""
        key = json.dumps([str(path.resolve()), *file_state(path)])
        self.used[key] = self.known.get(key) or asdict(scan_file(path))
        self.known[key] = self.used[key]
        return FileScan(**self.used[key])

    def md5_of(self, path):
        return self.scan(path).digest if path.is_file() else None


def scan_file(path):
    digest, images, tail = hashlib.md5(usedforsecurity=False), 0, b""
    with open(path, "rb") as file:
        while chunk := file.read(1 << 22):
            digest.update(chunk)
            text = tail + chunk
            images += text.count(IMAGE_KEY)
            tail = text[-len(IMAGE_KEY) + 1 :]
    return FileScan(digest.hexdigest(), images)
