"""``lvis``: LVIS v0.5 and v1, found on the disk or downloaded; then verified like any files.

The folder ``data.root`` has, or gets, COCO 2017's layout (each part may be a link):

    annotations/lvis_v1_train.json  annotations/lvis_v1_val.json  (v0.5: lvis_v0.5_*.json)
    train2017/000000391895.jpg ...  val2017/000000397133.jpg ...

What is there is never touched or downloaded again. Archives arrive in ``downloads/`` and are
removed once they are unpacked; a note stays there of each file that came in one.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pipeline.messages import shown
from pipeline.params.data import Source, in_project
from pipeline.params.limits import limited


@dataclass(frozen=True)
class Archive:
    """A zip: its address, its checks where known, what it becomes, and how large about that is."""

    url: str
    place: str
    unpacked: int
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Release:
    """``images``: how many the annotation file of a split lists, where known."""

    categories: int
    archives: dict[str, Archive]
    images: dict[str, int]


SPLITS = ("train", "val")
# Sizes and hashes: TensorFlow Datasets, tensorflow_datasets/datasets/lvis/checksums.tsv. Nobody
# has published those of v0.5's annotations; its archives are checked by their own CRCs alone.
PHOTOS = {
    "train_images": Archive(
        "http://images.cocodataset.org/zips/train2017.zip", "train2017", 19_500_000_000,
        19336861798, "69a8bb58ea5f8f99d24875f21416de2e9ded3178e903f1f7603e283b9e06d929",
    ),
    "val_images": Archive(
        "http://images.cocodataset.org/zips/val2017.zip", "val2017", 830_000_000,
        815585330, "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
    ),
}  # fmt: skip
RELEASES = {
    "v0.5": Release(
        categories=1230,
        archives={
            "train_annotations": Archive(
                "https://dl.fbaipublicfiles.com/LVIS/lvis_v0.5_train.json.zip",
                "annotations/lvis_v0.5_train.json", 700_000_000,
            ),
            "val_annotations": Archive(
                "https://dl.fbaipublicfiles.com/LVIS/lvis_v0.5_val.json.zip",
                "annotations/lvis_v0.5_val.json", 70_000_000,
            ),
            **PHOTOS,
        },
        images={},
    ),
    "v1": Release(
        categories=1203,
        archives={
            "train_annotations": Archive(
                "https://dl.fbaipublicfiles.com/LVIS/lvis_v1_train.json.zip",
                "annotations/lvis_v1_train.json", 1_200_000_000, 350264821,
                "334a4caa374030a7817cf050364525e910f7960f9b6968cef47cffbf3893f8ba",
            ),
            "val_annotations": Archive(
                "https://dl.fbaipublicfiles.com/LVIS/lvis_v1_val.json.zip",
                "annotations/lvis_v1_val.json", 220_000_000, 64026968,
                "5cae9a3c79aadb667550c2b5dcf7f4d86e059a41ec91ef690225b667e28e9ba5",
            ),
            **PHOTOS,
        },
        images={"train": 100_170, "val": 19_809},
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Data(Source):
    """``urls`` replaces single addresses, by their key in a release's ``archives``;
    ``connections`` is per file."""

    version: Literal["v0.5", "v1"]
    root: str
    verify: Literal["header", "decode"] = "header"
    download: bool = True
    urls: dict[str, str] = field(default_factory=dict)
    connections: int = limited(4, low=1, high=32)

    def __post_init__(self):
        archives = RELEASES[self.version].archives
        for key, url in self.urls.items():
            if key not in archives:
                allowed = ", ".join(archives)
                raise ValueError(f"unknown key {shown(key)} in data.urls; allowed: {allowed}")
            if not url.startswith(("http://", "https://")):
                raise ValueError(f"data.urls.{key} is {shown(url)}; it takes an http(s) address")
        self.check_outside("data.root", self.root, self.images("train"))

    def prepare(self, out: Path, releases: dict[str, Release] = RELEASES) -> dict[str, dict]:
        """Also images.csv. ``ValueError`` says what is missing, wrong or out of reach, ``OSError``
        which disk is full."""
        from pipeline.data.coco_folder import IMAGE_FOLDERS, folders_of, place_images
        from pipeline.data.from_disk import read_documents, verify_and_write
        from pipeline.data.obtain import obtain

        release, root = releases[self.version], self.images("train")
        paths = {split: obtain(self, release, f"{split}_annotations") for split in SPLITS}
        documents = read_documents(paths)
        for split, document in documents.items():
            check_release(self, release, split, document)
        for folder in folders_of(documents):
            obtain(self, release, IMAGE_FOLDERS[folder])
        for split, document in documents.items():
            place_images(document["images"], root, split)
        verify_and_write(self, documents, out)
        return documents

    def images(self, split: str) -> Path:
        return in_project(self.root)

    def origin(self, split: str) -> str:
        key = f"{split}_annotations"
        return self.urls.get(key, RELEASES[self.version].archives[key].url)

    def files(self) -> dict[str, Path]:
        """Annotation files that somebody put there. One that `prepare` downloaded is told by
        ``version`` and ``urls``, for as long as nobody changes it: it would not be here before
        ``prepare`` and be here after it."""
        from pipeline.data.obtain import is_as_downloaded

        root = self.images("train")
        places = [RELEASES[self.version].archives[f"{split}_annotations"].place for split in SPLITS]
        return {
            f"data.root/{place}": root / place
            for place in places
            if (root / place).is_file() and not is_as_downloaded(root / place, root / "downloads")
        }

    @property
    def benchmark(self) -> str:
        return self.version


def check_release(data, release, split, document):
    found, images = len(document["categories"]), len(document["images"])
    if found != release.categories:
        raise ValueError(
            f"the annotations under {data.root} have {found} categories; LVIS {data.version} has "
            f"{release.categories}"
        )
    if images != release.images.get(split, images):
        whole = release.images[split]
        print(f"{split}: {images:,} images; the original LVIS {data.version} lists {whole:,}")
