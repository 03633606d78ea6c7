"""The section `data`: which data set, and where its files lie."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pipeline.messages import shown
from pipeline.params.limits import limited

SYMBOLS_SOURCE = "pipeline/data/sources/symbols.py"
LVIS_SOURCE = "pipeline/data/sources/lvis.py"
LVIS_FILES = ("train_annotations", "val_annotations", "train_images", "val_images")


@dataclass(frozen=True, kw_only=True)
class SymbolsData:
    """The generated long-tailed set: see pipeline/data/sources/symbols.py."""

    name: str
    source: str
    seed: int = limited(0, low=0)
    categories: int = limited(60, low=1, high=400)
    exponent: float = limited(1.25, low=0, high=5)
    train_images: int = limited(1000, low=1)
    val_images: int = limited(300, low=1)
    image_size: int = limited(128, low=32, high=2048)

    def images(self, split: str) -> Path:
        """The folder that the file names of ``split`` ("train" or "val") start from."""
        return Path("data", self.name, "images", split)


@dataclass(frozen=True, kw_only=True)
class SplitFiles:
    """One split on disk: an annotation file inside ``data.source``, and the image folder."""

    annotations: str
    images: str


@dataclass(frozen=True, kw_only=True)
class FilesData:
    """A COCO- or LVIS-format data set on disk; ``source`` is the folder of annotation files."""

    name: str
    source: str
    train: SplitFiles
    val: SplitFiles
    verify: Literal["header", "decode"] = "decode"

    def __post_init__(self):
        check_outside(self.name, "data.source", self.source, Path(self.source))
        for split in ("train", "val"):
            images = getattr(self, split).images
            check_outside(self.name, f"data.{split}.images", images, self.images(split))

    def images(self, split: str) -> Path:
        return in_project(getattr(self, split).images)


@dataclass(frozen=True, kw_only=True)
class LvisData:
    """LVIS, found under ``root`` or downloaded to it: see pipeline/data/sources/lvis.py.

    ``root`` has, or gets, train2017/, val2017/ and annotations/. ``urls`` replaces single
    addresses, by their key of ``LVIS_FILES``; ``connections`` is per file.
    """

    name: str
    source: str
    version: Literal["v0.5", "v1"]
    root: str
    verify: Literal["header", "decode"] = "header"
    download: bool = True
    urls: dict[str, str] = field(default_factory=dict)
    connections: int = limited(4, low=1, high=32)

    def __post_init__(self):
        for key, url in self.urls.items():
            if key not in LVIS_FILES:
                allowed = ", ".join(LVIS_FILES)
                raise ValueError(f"unknown key {shown(key)} in data.urls; allowed: {allowed}")
            if not url.startswith(("http://", "https://")):
                raise ValueError(f"data.urls.{key} is {shown(url)}; it takes an http(s) address")
        check_outside(self.name, "data.root", self.root, self.images("train"))

    def images(self, split: str) -> Path:
        return in_project(self.root)


def check_outside(name: str, key: str, written: str, folder: Path) -> None:
    """``ValueError`` where ``folder``, which is the user's, lies in one that DVC empties."""
    made = Path(os.path.realpath(in_project(str(Path("data", name)))))
    place = Path(os.path.realpath(folder))  # also of a link that leads to itself
    if made in (place, *place.parents):
        raise ValueError(
            f"{key} is {shown(written)}, but DVC empties data/{name} before it runs `prepare`; "
            "move this folder out of it, or choose another data.name"
        )


def in_project(path: str) -> Path:
    """``path`` with ~ expanded; a relative one starts from the project, also in DVC's copies."""
    project = Path(os.environ.get("DVC_ROOT", "."))
    here = project.resolve() == Path.cwd()
    try:
        expanded = Path(path).expanduser()
    except RuntimeError:  # ~somebody
        raise ValueError(
            f"{shown(path)} starts in the home of somebody whom this machine does not know; write "
            "the whole path"
        ) from None
    return expanded if here else project / expanded
