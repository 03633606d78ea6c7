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
class Split:
    """What the mirror tells about an annotation file."""

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


def write_stamp(root, digest, splits):
    write_json(root / STAMP, {"digest": digest, "splits": splits})


class SplitScanner:
    """Reads annotation files, gigabytes with LVIS, once for as long as they stay the same."""

    def __init__(self, stamp):
        self.known = stamp.get("splits", {})

    def scan(self, path: Path) -> Split:
        """Digest and number of images of an annotation file; ``OSError`` if it is not there."""
        key = json.dumps([str(path.resolve()), *file_state(path)])
        if key not in self.known:
            self.known[key] = asdict(scan_annotations(path))
        return Split(**self.known[key])


def scan_annotations(path):
    digest, images, tail = hashlib.md5(usedforsecurity=False), 0, b""
    with open(path, "rb") as file:
        while chunk := file.read(1 << 22):
            digest.update(chunk)
            text = tail + chunk
            images += text.count(IMAGE_KEY)
            tail = text[-len(IMAGE_KEY) + 1 :]
    return Split(digest.hexdigest(), images)
