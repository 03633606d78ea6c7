"""A small data set that is right: 6 train and 4 val images, in COCO's or LVIS's format."""

from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as rle

from tests.fuzz.values import to_json

WIDTH, HEIGHT = 64, 48
COUNTS = {"train": 6, "val": 4}
CATEGORIES = ((1, "cup"), (2, "lamp"), (30, "shoe"))
SUFFIXES = (".jpg", ".png")


def documents(rng) -> dict[str, dict]:
    """The two annotation files; every image has an object of every category."""
    federated = bool(rng.integers(2))
    result = {}
    for split, count in COUNTS.items():
        images, annotations = [], []
        for number in range(1, count + 1):
            image = {
                "id": number,
                "file_name": f"{split}_{number:03d}{SUFFIXES[number % 2]}",
                "width": WIDTH,
                "height": HEIGHT,
            }
            if federated:
                image.update(neg_category_ids=[], not_exhaustive_category_ids=[])
            images.append(image)
            for category, _ in CATEGORIES:
                annotation = an_object(rng, len(annotations))
                annotations.append({**annotation, "image_id": number, "category_id": category})
        annotations.append({**a_crowd(), "id": len(annotations) + 1})
        categories = [{"id": c, "name": n} for c, n in CATEGORIES]
        if federated:
            images[0]["neg_category_ids"] = []
            images[1]["not_exhaustive_category_ids"] = [2]
            for category in categories:
                category["frequency"] = "c"
        result[split] = {"images": images, "annotations": annotations, "categories": categories}
    return result


def an_object(rng, number):
    """Polygons, compressed and uncompressed RLE, and none in turn; some without an area."""
    w, h = map(int, rng.integers(8, 20, 2))
    x, y = int(rng.integers(0, WIDTH - w)), int(rng.integers(0, HEIGHT - h))
    result = {"id": number + 1, "bbox": [x, y, w, h], "area": w * h, "iscrowd": 0}
    polygon = [x, y, x + w, y, x + w, y + h, x, y + h]
    mask = np.zeros((HEIGHT, WIDTH), np.uint8, "F")
    mask[y : y + h, x : x + w] = 1
    kind = number % 4
    if kind == 0:
        result["segmentation"] = [polygon]
    elif kind == 1:
        counts = rle.encode(mask)["counts"].decode()
        result["segmentation"] = {"size": [HEIGHT, WIDTH], "counts": counts}
    elif kind == 2:
        result["segmentation"] = {"size": [HEIGHT, WIDTH], "counts": run_lengths(mask)}
    if number % 5 == 4:
        del result["area"]
    return result


def run_lengths(mask):
    flat = np.concatenate([[0], mask.ravel("F"), [2]])
    edges = np.flatnonzero(np.diff(flat.astype(int)))
    return np.diff(edges, prepend=0).tolist()


def a_crowd():
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[5:10, 5:30] = 1
    return {
        "image_id": 3, "category_id": 1, "bbox": [5, 5, 25, 5], "area": 125, "iscrowd": 1,
        "segmentation": {"size": [HEIGHT, WIDTH], "counts": run_lengths(mask)},
    }  # fmt: skip


def picture(rng, width=WIDTH, height=HEIGHT) -> Image.Image:
    """Smooth, so that it survives a lossy format, and unlike any other."""
    coarse = Image.fromarray(rng.integers(0, 256, (3, 4, 3), np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def write_images(rng, folder: Path) -> None:
    for split, count in COUNTS.items():
        (folder / split).mkdir(parents=True)
        for number in range(1, count + 1):
            path = folder / split / f"{split}_{number:03d}{SUFFIXES[number % 2]}"
            picture(rng).save(path, **({"quality": 95} if path.suffix == ".jpg" else {}))


def write_documents(folder: Path, docs: dict[str, dict]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for split, document in docs.items():
        (folder / f"{split}.json").write_text(to_json(document), encoding="utf-8")
