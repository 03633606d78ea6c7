"""Images on disk: find the file of each annotated image, check it, list it in a manifest.

``images.csv``: split, file_name, bytes, width, height. DVC tracks this small table in place of
the images themselves, whose hashing takes minutes for a set like COCO.
"""

import csv
import io
import os
import unicodedata
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from tqdm import tqdm

from pipeline.data.image_file import Header, check_complete, read_header, read_image
from pipeline.files import write_text

COLUMNS = ("split", "file_name", "bytes", "width", "height")
DARK = 32  # of 255: where nothing is brighter, the upper bits of 16 are not used


def resolve_file_names(images: list[dict], folder: str | Path, split: str) -> None:
    """Set each image's ``file_name``, relative to ``folder``, to the first name that exists.

    LVIS v1 has no file_name but a coco_url ending in train2017/000000391895.jpg, where ``folder``
    may hold train2017 or be it; LVIS v0.5 says COCO_val2014_000000391895.jpg for a file that is
    000000391895.jpg on disk. Where nothing exists the first name stays, for ``verify_images``.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder}, the folder of images, does not exist")
    renamed = []
    for image in images:
        names = possible_names(image)
        given = names[0]
        found = next((n for n in names if os.path.isfile(folder / n)), given)  # noqa: PTH113
        if found != given:
            renamed.append(f"{given} is {found}")
        image["file_name"] = inside(found, folder)
    if renamed:
        print(
            f"{split}: {len(renamed)} of {len(images)} images are not where their file_name or "
            f"coco_url says, but elsewhere in {folder}; the first: {renamed[0]}"
        )


def possible_names(image: dict) -> list[str]:
    """File names to look for, that of the annotation file first."""
    names = []
    if given := image.get("file_name"):
        plain = given.replace("\\", "/")  # as Windows writes paths
        last = PurePosixPath(plain).name
        names += [given, plain, last, unquote(plain), unquote(last)]
        names += [unicodedata.normalize(form, n) for form in ("NFC", "NFD") for n in (plain, last)]
        if last.startswith("COCO_"):
            names.append(last.rpartition("_")[2])
    if url := image.get("coco_url"):
        path = PurePosixPath(url)
        names += [f"{path.parent.name}/{path.name}", path.name]
    return names


def inside(name: str, folder: Path) -> str:
    """An absolute name as one relative to ``folder``, where it lies in it: the folder may move."""
    path = Path(name)
    within = path.is_absolute() and path.is_relative_to(folder.absolute())
    return str(path.relative_to(folder.absolute())) if within else name


def verify_images(images: list[dict], folder: str | Path, split: str, verify: str) -> list[dict]:
    """Rows of the manifest; ``ValueError`` with the first bad file and how many there are.

    ``verify`` is "header" (the file is an image of the annotated width and height, and the first
    one of each kind can be decoded) or "decode" (all pixels of all are there).
    """
    check_one_record_each(images, folder, split)
    folder, decode = Path(folder), verify == "decode"
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        checks = pool.map(lambda image: check_image(image, folder, decode), images)
        found = list(tqdm(checks, f"{split} images ({verify})", len(images), unit="img"))
    if not decode:
        for position in {image.kind: k for k, image in reversed([*enumerate(found)])}.values():
            found[position] = check_image(images[position], folder, decode=True)
    bad = [(image["id"], f.problem) for image, f in zip(images, found, strict=True) if f.problem]
    if bad:
        raise ValueError(
            f"{split}: {len(bad)} of {len(images)} images are bad; the first: image {bad[0][0]}, "
            f"{bad[0][1]}"
        )
    dark = [image.row["file_name"] for image in found if image.dark]
    if dark:
        print(
            f"{split}: {len(dark)} of {len(images)} images have 16 bits a channel and are nearly "
            "black at 8 bits: their upper bits are not used; stretch their values to 0..65535; "
            f"the first: {dark[0]}"
        )
    return [{"split": split, **image.row} for image in found]


def check_one_record_each(images, folder, split):
    """Two records of one file would be two images, each without the objects of the other."""
    records = Counter(os.path.normpath(image["file_name"]) for image in images)
    name, count = max(records.items(), key=lambda pair: pair[1], default=("", 0))
    if count > 1:
        ids = [i["id"] for i in images if os.path.normpath(i["file_name"]) == name]
        raise ValueError(
            f"{split}: the images {ids[0]} and {ids[1]} have one file, {Path(folder, name)}; put "
            "their annotations under one image, or correct a file_name"
        )


@dataclass(frozen=True)
class Checked:
    """A ``row`` of the manifest, or the ``problem``; ``kind`` decides how a file is decoded."""

    row: dict | None = None
    problem: str | None = None
    kind: tuple = ()
    dark: bool = False


def check_image(image: dict, folder: Path, decode: bool) -> Checked:
    path = folder / image["file_name"]
    try:
        header, count, dark = read(path, decode)
    except FileNotFoundError:
        return Checked(problem=f"{path} does not exist")
    except OSError as error:
        return Checked(problem=f"{path} cannot be read: {error.strerror}")
    except ValueError as error:
        return Checked(problem=f"{path} {error}")
    if header.size != (image["width"], image["height"]):
        return Checked(problem=f"{path} {other_size(header, image)}")
    row = {"file_name": image["file_name"], "bytes": count}
    row |= {"width": header.size[0], "height": header.size[1]}
    return Checked(row, kind=header.kind, dark=dark)


def read(path, decode) -> tuple[Header, int, bool]:
    """Header, number of bytes, and whether it is nearly black; of 16 bits that needs the pixels."""
    if path.exists() and not path.is_file():
        raise ValueError("is no file")
    dark = False
    with open(path, "rb") as file:
        header = read_header(file)
        if decode:
            check_complete(file)
        if decode or header.sixteen_bit:
            file.seek(0)
            brightest = read_image(file.read()).max()
            dark = header.sixteen_bit and bool(brightest < DARK)
    return header, path.stat().st_size, dark


def other_size(header: Header, image: dict) -> str:
    annotated = image["width"], image["height"]
    text = "is {}x{}, but its annotation says {}x{}".format(*header.size, *annotated)
    if header.stored == annotated:
        return (
            f"{text}, as before its EXIF rotation ({header.orientation}), which viewers and "
            "training apply; annotate the turned image, or remove the rotation from the file"
        )
    return f"{text}; correct width and height, or take the file that was annotated"


def write_manifest(path: str | Path, rows: list[dict]) -> None:
    """Write ``images.csv``."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
