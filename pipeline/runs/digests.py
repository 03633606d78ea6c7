"""The digest of a large file, read anew only where it is another one."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pipeline.files import file_digest, read_json, write_json

NOTED = Path(".dvc", "tmp", "file_digests.json")
# each stands once in every image, and in every annotation, of a file that `prepare` wrote
IMAGE_KEY, BOX_KEY = b'"neg_category_ids"', b'"bbox"'


def known_digest(file: Path) -> str | None:
    """sha256; None where there is no file. Kept beside DVC's own notes by size and time."""
    if not file.is_file():
        return None
    info = file.stat()
    state = [info.st_size, info.st_mtime_ns]
    notes = read_notes()
    noted = notes.get(str(file.resolve()))
    if isinstance(noted, list) and noted[:2] == state:
        return noted[2]
    digest = file_digest(file)
    if NOTED.parent.is_dir():
        write_json(NOTED, {**notes, str(file.resolve()): [*state, digest]})
    return digest


def read_notes() -> dict:
    try:
        notes = read_json(NOTED)
    except ValueError:  # there are none yet, or half of them
        return {}
    return notes if isinstance(notes, dict) else {}


@dataclass(frozen=True)
class FileScan:
    """What a reading of a file gave; The numbers are 0 for anything but annotations."""

    digest: str
    images: int
    boxes: int = 0


def scan_file(path):
    digest = hashlib.md5(usedforsecurity=False)
    counts, tails = {IMAGE_KEY: 0, BOX_KEY: 0}, {IMAGE_KEY: b"", BOX_KEY: b""}
    with open(path, "rb") as file:
        while chunk := file.read(1 << 22):
            digest.update(chunk)
            for key, tail in tails.items():
                text = tail + chunk
                counts[key] += text.count(key)
                tails[key] = text[-len(key) + 1 :]
    return FileScan(digest.hexdigest(), counts[IMAGE_KEY], counts[BOX_KEY])
