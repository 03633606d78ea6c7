"""The digest of a large file, and what stands in it, by one reading."""

import hashlib
from dataclasses import dataclass

# each stands once in every image, and in every annotation, of a file that `prepare` wrote
IMAGE_KEY, BOX_KEY = b'"neg_category_ids"', b'"bbox"'


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
