"""``files``: a COCO- or LVIS-format data set on disk, whose images stay where they are."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.params.data import Source, expanded, in_project


@dataclass(frozen=True, kw_only=True)
class Split:
    """An annotation file inside ``data.annotations``, and the folder of its images."""

    annotations: str
    images: str


@dataclass(frozen=True, kw_only=True)
class Data(Source):
    """``annotations`` is the folder of the two annotation files; ``verify`` reads of every image
    the header, or all of it."""

    annotations: str
    train: Split
    val: Split
    verify: Literal["header", "decode"] = "decode"

    def __post_init__(self):
        self.check_outside("data.annotations", self.annotations, expanded(self.annotations))
        for split in ("train", "val"):
            images = getattr(self, split).images
            self.check_outside(f"data.{split}.images", images, self.images(split))

    def prepare(self, out: Path) -> dict[str, dict]:
        """Also images.csv."""
        from pipeline.data.from_disk import read_documents, verify_and_write
        from pipeline.data.images import resolve_file_names

        documents = read_documents({n: self.annotation_file(n) for n in ("train", "val")})
        for name, document in documents.items():
            resolve_file_names(document["images"], self.images(name), name)
        verify_and_write(self, documents, out)
        return documents

    def annotation_file(self, split: str) -> Path:
        """``ValueError`` where it is not there."""
        if not expanded(self.annotations).is_dir():
            raise ValueError(
                f"data.annotations is {self.annotations!r}, which is no folder of annotation files"
            )
        path = self.origin(split)
        if not path.is_file():
            raise ValueError(f"{path} does not exist; correct data.{split}.annotations")
        return path

    def images(self, split: str) -> Path:
        return in_project(getattr(self, split).images)

    def origin(self, split: str) -> Path:
        return expanded(self.annotations) / getattr(self, split).annotations

    def files(self) -> dict[str, Path]:
        found = {f"data.{split}.annotations": self.origin(split) for split in ("train", "val")}
        return {key: path for key, path in found.items() if path.is_file()}

    def paths(self) -> dict[str, str]:
        return {"data.annotations": self.annotations}
