"""LVIS v0.5 and v1: found on the disk, or downloaded; then completed and verified like any files.

The folder ``data.root`` has, or gets, COCO 2017's layout (each part may be a link):

    annotations/lvis_v1_train.json  annotations/lvis_v1_val.json  (v0.5: lvis_v0.5_*.json)
    train2017/000000391895.jpg ...  val2017/000000397133.jpg ...

What is there is never touched or downloaded again. Archives arrive in ``downloads/`` and are
removed once they are unpacked.
"""

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.data.archive import unpack
from pipeline.data.download import fetch
from pipeline.data.images import possible_names
from pipeline.data.sources.files import read_documents, verify_and_write
from pipeline.files import locked
from pipeline.params import LvisData

IMAGE_FOLDERS = {"train2017": "train_images", "val2017": "val_images"}


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


def prepare_lvis(data: LvisData, out: Path, releases: dict[str, Release] = RELEASES) -> dict:
    """Write ``out``/{train.json,val.json,categories.csv,images.csv}; returns the two documents.

    ``ValueError`` says what is missing, wrong or out of reach, ``OSError`` which disk is full.
    """
    release, root = releases[data.version], data.images("train")
    paths = {split: obtain(data, release, f"{split}_annotations") for split in ("train", "val")}
    documents = read_documents(paths)
    for split, document in documents.items():
        check_release(data, release, split, document)
    for folder in folders_of(documents):
        obtain(data, release, IMAGE_FOLDERS[folder])
    for split, document in documents.items():
        place_images(document["images"], root, split)
    verify_and_write(data, documents, out)
    return documents


def obtain(data, release, key) -> Path:
    """The file or folder of ``key``, downloaded and unpacked if it is not there."""
    archive, root = release.archives[key], data.images("train")
    target = root / archive.place
    if target.exists():
        return target
    if target.is_symlink():
        raise ValueError(f"{target} is a link to {target.readlink()}, which does not exist")
    if not data.download:
        raise ValueError(f"{target} does not exist, and data.download is false")
    with locked(root / "downloads"):
        if not target.exists():  # another process may have made it meanwhile
            download(data, archive, key, root / "downloads", target)
    return target


def download(data, archive, key, folder, target):
    url = data.urls.get(key, archive.url)
    packed = folder / f"{target.name}.zip"
    try:
        fetch(url, packed, archive.size, archive.sha256, data.connections, archive.unpacked)
        unpack(packed, target)
    except ValueError as error:
        text = f"{error}; data.urls.{key} may name a mirror, which must serve the original file"
        raise ValueError(text) from None


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


def folders_of(documents) -> set[str]:
    """Which of ``IMAGE_FOLDERS`` the annotations need; both where an image does not say."""
    homes = {home(image) for document in documents.values() for image in document["images"]}
    return set(IMAGE_FOLDERS) if None in homes else homes


def home(image):
    folder = PurePosixPath(image.get("coco_url") or "").parent.name
    return folder if folder in IMAGE_FOLDERS else None


def place_images(images, root, split) -> None:
    """Set each ``file_name`` to train2017/<number>.jpg or val2017/<number>.jpg.

    The name comes from v1's coco_url or from v0.5's file_name, COCO_val2014_<number>.jpg. The
    folder is the one that has the file. (v0.5 tells of 2014's split there: of no use.)
    """
    folders = [root / folder for folder in IMAGE_FOLDERS if (root / folder).is_dir()]
    present = {folder.name: {path.name for path in folder.iterdir()} for folder in folders}
    missing = []
    for image in images:
        names = possible_names(image)
        folder = next((f for f, files in present.items() if names[-1] in files), None)
        image["file_name"] = f"{folder}/{names[-1]}"
        if not folder:
            missing.append(names[-1])
    if missing:
        raise ValueError(
            f"{split}: {len(missing)} of {len(images)} images are not in {' or '.join(present)} of "
            f"{root}; the first: {missing[0]}; add them, or move the folder away to have it "
            "downloaded"
        )
