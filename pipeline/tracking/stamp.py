"""What was mirrored last: the reason why a sync without a change costs no import of mlflow."""

import hashlib
import json
import re
import secrets
from dataclasses import asdict
from pathlib import Path

from pipeline.files import read_json, write_json, write_text
from pipeline.runs.digests import FileScan, scan_file

STAMP = ".mlflow-mirror.json"
IDENTITY = ".mlflow-mirror.id"
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
    "reports/over_seeds.*",
    "reports/plots/**/*",
    "reports/diagnosis/**/*",
)
OWN_ENTRY = re.compile(r"^  track:\n(?:    .*\n)*", re.MULTILINE)


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


def project_identity(project):
    """16 hex digits that tell this checkout's runs from others' on one server; made under the
    mirror's lock, and kept beside the stamp with the folder's name: a copy gets its own."""
    known, home = read_identity(project)
    copied = bool(known) and was_copied(known, home, project)
    identity = secrets.token_hex(8) if copied or not known else known
    if (known, home) != (identity, str(project)):
        write_text(project / IDENTITY, f"{identity}\n{project}\n")
    return identity


def read_identity(project):
    """(identity, folder); empty texts where they are not known."""
    path = project / IDENTITY
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return tuple([*lines, "", ""][:2])


def was_copied(identity, home, project):
    """Whether the folder it was made in is still there beside this one; otherwise it was moved."""
    there = Path(home or project)
    return read_identity(there)[0] == identity and not there.samefile(project)


def read_stamp(root):
    """The stamp, or an empty one where it is missing or damaged: then the mirror is made again."""
    try:
        stamp = read_json(root / STAMP)
    except ValueError:
        stamp = {}
    return stamp if isinstance(stamp, dict) else {}


def write_stamp(root, digest, scans, experiment):
    """``experiment``: the id that MLflow has for the one that holds the runs."""
    write_json(root / STAMP, {"digest": digest, "files": scans, "experiment": experiment})


class FileScanner:
    """Reads annotation files and weights, gigabytes with LVIS, only once while they stay equal."""

    def __init__(self, stamp):
        self.known = dict(stamp.get("files") or {})
        self.used = {}

    def scan(self, path: Path) -> FileScan:
        """Digest and number of images of a file; ``OSError`` if it is not there."""
        key = json.dumps([str(path.resolve()), *file_state(path)])
        try:
            found = FileScan(**self.known[key])
        except (KeyError, TypeError):  # not read yet, or noted by another version
            found = scan_file(path)
        self.known[key] = self.used[key] = asdict(found)
        return found

    def md5_of(self, path):
        return self.scan(path).digest if path.is_file() else None
