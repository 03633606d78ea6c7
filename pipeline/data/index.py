"""A split as flat arrays on disk, which ranks and data-loading workers share by memory mapping.

``index/<split>/`` beside the annotation file:

- ``images.npy``: a row an image: id, width, height, and where its names and instances end;
- ``instances.npy``: a row an instance, in the order of the images: box, label, the box of its mask
  in whole pixels, where its runs end;
- ``names.bin`` and ``masks.bin``: the file names, and each mask's runs within its box;
- ``digest.txt``: sha256 over the four.

A start then reads nothing but headers, where parsing LVIS's train file takes every process half a
minute and gigabytes.
"""

import hashlib
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np

from pipeline.data import masks, rle
from pipeline.files import file_digest, write_text

FILES = ("images.npy", "instances.npy", "masks.bin", "names.bin")
IMAGE = np.dtype([
    ("id", "i8"), ("width", "i4"), ("height", "i4"), ("name_end", "i8"), ("instance_end", "i8"),
])  # fmt: skip
INSTANCE = np.dtype([
    ("box", "f8", 4), ("label", "i4"), ("mask_box", "i4", 4), ("run_end", "i8"),
])  # fmt: skip
RUN = np.dtype("u4")


def write_index(folder: str | Path, document: dict) -> None:
    """Write the index of a complete LVIS-format ``document`` into ``folder``.

    Label k is the k-th category in ascending id order, as in ``categories.csv``.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    label = {c: k for k, c in enumerate(sorted(c["id"] for c in document["categories"]))}
    of_image = defaultdict(list)
    for annotation in document["annotations"]:
        of_image[annotation["image_id"]].append(annotation)
    images = np.empty(len(document["images"]), IMAGE)
    instances = np.empty(len(document["annotations"]), INSTANCE)
    done = run_end = 0
    with open(folder / "names.bin", "wb") as names, open(folder / "masks.bin", "wb") as runs:
        for row, image in zip(images, document["images"], strict=True):
            names.write(image["file_name"].encode())
            size = [image["height"], image["width"]]
            for annotation in of_image[image["id"]]:
                drawn = masks.runs(annotation["segmentation"], size)
                mask_box, drawn = rle.cropped(drawn, image["height"])
                runs.write(drawn.astype(RUN).tobytes())
                run_end += len(drawn)
                box = corners(annotation["bbox"])
                instances[done] = (box, label[annotation["category_id"]], mask_box, run_end)
                done += 1
            row["id"], row["width"], row["height"] = (image[k] for k in ("id", "width", "height"))
            row["name_end"], row["instance_end"] = names.tell(), done
    np.save(folder / "images.npy", images)
    np.save(folder / "instances.npy", instances)
    digests = "".join(file_digest(folder / name) for name in FILES)
    write_text(folder / "digest.txt", hashlib.sha256(digests.encode()).hexdigest() + "\n")


def corners(box):
    x, y, width, height = box
    return x, y, x + width, y + height


class Index:
    """Reads an index; each image is decoded when it is asked for.

    Pickled as its folder's name, so that spawned workers map the files again.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        try:
            self.images = map_rows(self.folder / "images.npy")
            self.instances = map_rows(self.folder / "instances.npy")
            self.names = map_file(self.folder / "names.bin", np.uint8)
            self.runs = map_file(self.folder / "masks.bin", RUN)
            check_length("names.bin", self.names, self.images["name_end"])
            check_length("masks.bin", self.runs, self.instances["run_end"])
        except (OSError, ValueError) as error:
            raise ValueError(
                f"{folder}, the index of the data set, cannot be read ({error}); "
                "run `dvc repro -f prepare`"
            ) from None

    def __reduce__(self):
        return type(self), (self.folder,)

    def __len__(self):
        return len(self.images)

    def with_objects(self) -> np.ndarray:
        """Positions of the images that have an instance."""
        return np.flatnonzero(np.diff(self.images["instance_end"], prepend=0))

    def labels(self) -> list[np.ndarray]:
        """Of the objects of each image, without decoding anything else."""
        return np.split(np.array(self.instances["label"]), self.images["instance_end"])[:-1]

    def image(self, position: int) -> dict:
        """id, file name, width and height of an image, and of its N objects the boxes as corners
        [N, 4], labels [N] and masks: each its box in whole pixels and its runs within it."""
        row = self.images[position]
        first, end = self.bounds(self.images["instance_end"], position)
        objects = self.instances[first:end]
        return {
            "img_id": int(row["id"]),
            "file_name": self.name(position),
            "width": int(row["width"]),
            "height": int(row["height"]),
            "boxes": objects["box"],
            "labels": objects["label"],
            "masks": self.masks(first, end),
        }

    def masks(self, first, end):
        start = int(self.instances["run_end"][first - 1]) if first else 0
        ends = [start, *self.instances["run_end"][first:end].tolist()]
        boxes = self.instances["mask_box"][first:end].tolist()
        return [(box, self.runs[a:b]) for box, (a, b) in zip(boxes, pairwise(ends), strict=True)]

    def size(self, position: int) -> tuple[int, int]:
        """Width and height of an image."""
        row = self.images[position]
        return int(row["width"]), int(row["height"])

    def name(self, position):
        start, end = self.bounds(self.images["name_end"], position)
        return self.names[start:end].tobytes().decode()

    @staticmethod
    def bounds(ends, position):
        return (int(ends[position - 1]) if position else 0), int(ends[position])


def check_length(name, data, ends):
    if len(data) != (ends[-1] if len(ends) else 0):
        raise ValueError(f"{name} is truncated")


# np.memmap takes microseconds to make every small part of a file an np.memmap again; a view as an
# array is mapped, too.


def map_rows(path):
    return np.asarray(np.load(path, mmap_mode="r"))


def map_file(path, kind):
    if not path.stat().st_size:  # an empty file cannot be mapped
        return np.empty(0, kind)
    return np.asarray(np.memmap(path, kind, "r"))
