"""Data sets of a user, as awkward as they come: files on disk, and the params file for them."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

NAMES = {
    0: "猫",
    7: "قطة صغيرة",
    90_000_000_007: "🦊 fox, 'red'",
    2**53 + 1: 'say "hi", ok',
    8: "<b>&amp;</b>",
    11: r"_ & % $ # {x} ~ ^ \alpha",
    500: "only in train",
    401: "only in val",
}
HUGE = 3_000_000_000
TURNED = 6  # EXIF orientation: the camera was held upright
SIZE = 48

PARAMS = """
seed: 0
data:
  name: {name}
  source: files
  annotations: files
  train: {{annotations: train.json, images: "files/pictures of train"}}
  val: {{annotations: val.json, images: files/val}}
  verify: decode
detector: {{config: faster_rcnn_r18_fpn, image_scale: [64, 64]}}
train: {{batch_size: 4, learning_rate: 0.01, warmup_iters: 0}}
representation:
  bce:
    loss: {{type: bce}}
    epochs: 2
    prior: 0.01
    augmentation: {{copy_paste: 100}}
classifier:
  bacl:
    from: bce
    loss: {{type: fcbl}}
    epochs: 1
predict: {{score_threshold: 0.0001, max_per_image: 50}}
report: {{methods: [bce, bacl], baseline: bce, gallery_images: 3}}
compute: {{gpus: 0, workers: 0}}
tracking: {{enabled: false}}
"""
METHODS = ("bce", "bacl")


def write_params(root: Path, name: str) -> None:
    (root / "params.yaml").write_text(PARAMS.format(name=name), encoding="utf-8")


def pixels(rng, height=SIZE, width=SIZE + 16):
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def grey(rng):
    return Image.fromarray(pixels(rng)[..., 0])


def transparent(rng):
    return Image.fromarray(np.dstack([pixels(rng), pixels(rng)[..., 0]]))


def palette(rng):
    return Image.fromarray(pixels(rng)).convert("P", palette=Image.Palette.ADAPTIVE)


def deep(rng):
    return Image.fromarray(pixels(rng)[..., 0].astype(np.uint16) * 257)


def plain(rng):
    return Image.fromarray(pixels(rng))


PICTURES = {
    "a/photo.png": grey,
    "b/photo.png": transparent,
    "mit Leerzeichen/фото 1.png": palette,
    "深い/階層/16 bit.png": deep,
    "turned #1 100%.jpg": plain,
    "nothing in it.png": plain,
}


def save(image, path):
    """Write it; returns the size that a viewer shows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix != ".jpg":
        image.save(path)
        return image.size
    exif = Image.Exif()
    exif[0x0112] = TURNED
    image.save(path, exif=exif)
    return image.size[::-1]


def strange_split(root, folder, seed, only):
    """COCO-format: boxes only, ids with gaps, in any order; a class that the other split lacks."""
    rng = np.random.default_rng(seed)
    seen = [c for c in NAMES if c not in (500, 401)] + [only]
    images, annotations = [], []
    for number, (name, draw) in enumerate(PICTURES.items()):
        width, height = save(draw(rng), root / folder / name)
        images.append(
            {"id": HUGE - 7 * number, "file_name": name, "width": width, "height": height}
        )
        if name.startswith("nothing"):
            continue
        for category in rng.permutation(seen):
            w, h = rng.uniform(8, 20, 2)
            box = [rng.uniform(0, width - w), rng.uniform(0, height - h), w, h]
            annotations.append((images[-1]["id"], int(category), [round(v, 3) for v in box]))
        annotations.append((images[-1]["id"], 8, [0, 0, 0.3, 0.4]))  # a speck in the corner
    return {
        "info": {"description": "exported by a tool"},
        "images": images[::-1],
        "annotations": [
            {"id": 10**12 + i, "image_id": image, "category_id": category, "bbox": box}
            for i, (image, category, box) in enumerate(annotations)
        ],
        "categories": [{"id": c, "name": name, "supercategory": ""} for c, name in NAMES.items()],
    }


def write_strange(root: Path) -> None:
    """Everything at once that a COCO-format export may hold."""
    files = root / "files"
    train = strange_split(files, "pictures of train", 0, only=500)
    val = strange_split(files, "val", 1, only=401)
    for name, split in (("train", train), ("val", val)):
        (files / f"{name}.json").write_text(json.dumps(split), encoding="utf-8")
    write_params(root, "strange")


def write_one_class(root: Path) -> None:
    """LVIS-format, one class, in 12 training images: common, so there is no rare category."""
    rng = np.random.default_rng(0)
    for split, folder, count in (("train", "pictures of train", 12), ("val", "val", 3)):
        images, annotations = [], []
        for number in range(1, count + 1):
            save(plain(rng), root / "files" / folder / f"{number:012d}.png")
            images.append(
                {
                    "id": number, "coco_url": f"http://images/train2017/{number:012d}.png",
                    "width": SIZE + 16, "height": SIZE,
                    "neg_category_ids": [], "not_exhaustive_category_ids": [],
                }
            )  # fmt: skip
            annotations.append(
                {
                    "id": number, "image_id": number, "category_id": 1, "area": 200.0,
                    "bbox": [5, 6, 20, 20], "segmentation": [[5, 6, 25, 6, 5, 26]],
                }
            )  # fmt: skip
        category = {"id": 1, "name": "thing", "frequency": "c", "synset": "thing.n.01"}
        document = {"images": images, "annotations": annotations, "categories": [category]}
        (root / "files" / f"{split}.json").write_text(json.dumps(document), encoding="utf-8")
    write_params(root, "one_class")
