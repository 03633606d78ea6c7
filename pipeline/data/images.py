"""Images on disk: find the file of each annotated image, check it, list it in a manifest.

``images.csv``: split, file_name, bytes, width, height. DVC tracks this small table in place of
the images themselves, whose hashing takes minutes for a set like COCO.
"""

import csv
import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from PIL import Image
from tqdm import tqdm

from pipeline.files import write_text

COLUMNS = ("split", "file_name", "bytes", "width", "height")
EXIF_ORIENTATION = 0x0112
TURNED_BY_EXIF = (5, 6, 7, 8)


def resolve_file_names(images: list[dict], folder: str | Path) -> None:
    """Set each image's ``file_name``, relative to ``folder``, to the first name that exists.

    LVIS v1 has no file_name but a coco_url ending in train2017/000000391895.jpg, where ``folder``
    may hold train2017 or be it; LVIS v0.5 says COCO_val2014_000000391895.jpg for a file that is
    000000391895.jpg on disk. Where nothing exists the first name stays, for ``verify_images``.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder}, the folder of images, does not exist")
    for image in images:
        names = possible_names(image)
        if not names:
            raise ValueError(f"image {image['id']} has neither file_name nor coco_url")
        found = (name for name in names if (folder / name).is_file())
        image["file_name"] = next(found, names[0])


def possible_names(image):
    names = []
    if image.get("file_name"):
        last = PurePosixPath(image["file_name"]).name
        names += [image["file_name"], last]
        if last.startswith("COCO_"):
            names.append(last.rpartition("_")[2])
    if image.get("coco_url"):
        path = PurePosixPath(image["coco_url"])
        names += [f"{path.parent.name}/{path.name}", path.name]
    return names


def verify_images(images: list[dict], folder: str | Path, split: str, verify: str) -> list[dict]:
    """Rows of the manifest; ``ValueError`` with the first bad file and how many there are.

    ``verify`` is "header" (the file is an image of the annotated width and height) or "decode"
    (all its pixels are there too). The size is the one after the EXIF rotation, because the
    training reads images that way.
    """
    folder = Path(folder)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        checks = pool.map(lambda image: check_image(image, folder, verify == "decode"), images)
        results = list(tqdm(checks, f"{split} images ({verify})", len(images), unit="img"))
    bad = [problem for _, problem in results if problem]
    if bad:
        raise ValueError(
            f"{split}: {len(bad)} of {len(images)} images are bad; the first: {bad[0]}"
        )
    return [{"split": split, **row} for row, _ in results]


def check_image(image, folder, decode):
    """(row, None) or (None, what is wrong)."""
    path = folder / image["file_name"]
    try:
        with Image.open(path) as opened:
            size = displayed_size(opened)
            if decode:
                opened.load()
    except FileNotFoundError:
        return None, f"{path} does not exist"
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return None, f"{path} is not a readable image: {error}"
    if size != (image["width"], image["height"]):
        return None, (
            f"{path} is {size[0]}x{size[1]}, but its annotation says "
            f"{image['width']}x{image['height']}"
        )
    row = {"file_name": image["file_name"], "bytes": path.stat().st_size}
    return {**row, "width": size[0], "height": size[1]}, None


def displayed_size(opened):
    turned = opened.getexif().get(EXIF_ORIENTATION) in TURNED_BY_EXIF
    return opened.size[::-1] if turned else opened.size


def write_manifest(path: str | Path, rows: list[dict]) -> None:
    """Write ``images.csv``."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
