"""The project of ``report_scale.py``: LVIS v1 val's size, made of random numbers, always the same.

The categories are LVIS v1's own table; objects follow its training counts, images carry lists of
absent and of not exhaustively annotated categories as long as LVIS's, and a method of more skill
finds more objects, rare ones above all, and places and scores them better.
"""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

TRAIN_IMAGES, OBJECTS_PER_TRAIN_IMAGE = 100_170, 12.68
VAL_IMAGES, NEGATIVES, DETECTIONS = 19_809, 9, 300
NOT_EXHAUSTIVE_SHARE = 0.05
WIDTH, HEIGHT = 640, 480
METHODS = tuple(f"method_{number}" for number in range(10))
EPOCHS, ITERATIONS = 24, 12_000
NAME = "lvis_size"


def write_project(folder: Path, table: Path, images=VAL_IMAGES, methods=METHODS) -> Path:
    """Write params.yaml, data/, predictions/ and models/ under ``folder``; gives the folder."""
    rng = np.random.default_rng(0)
    categories = read_categories(table)
    write_params(folder, methods)
    write_images(folder / "data" / NAME, images, rng)
    val = objects(categories, images, rng)
    write_val(folder / "data" / NAME, categories, val, images, rng)
    for number, method in enumerate(methods):
        skill = number / max(1, len(methods) - 1)
        write_predictions(folder, method, categories, val, skill, images)
        write_model(folder / "models" / method, method, skill)
        write_classifier(folder / "models" / method, len(categories), skill)
    return folder


def read_categories(table):
    wanted = ("id", "name", "frequency", "image_count", "instance_count")
    rows = json.loads(Path(table).read_text(encoding="utf-8"))
    return pd.DataFrame(sorted(rows, key=lambda row: row["id"]))[list(wanted)]


def write_params(folder, methods):
    folder.mkdir(parents=True, exist_ok=True)
    blocks = "\n".join(
        f"  {method}: {{loss: {{type: cross_entropy}}, epochs: {EPOCHS}}}" for method in methods
    )
    (folder / "params.yaml").write_text(
        f"data: {{name: {NAME}, source: symbols}}\n"
        "detector: {config: faster_rcnn_r50_fpn, image_scale: [640, 480]}\n"
        "train: {batch_size: 16, learning_rate: 0.02}\n"
        f"representation:\n{blocks}\nclassifier: {{}}\n"
        f"report: {{methods: [{', '.join(methods)}], baseline: {methods[0]}}}\n",
        encoding="utf-8",
    )


def write_images(folder, images, rng):
    """One picture under the name of every val image."""
    (folder / "images" / "val").mkdir(parents=True)
    first = folder / "images" / "val" / file_name(1)
    small = Image.fromarray(rng.integers(60, 200, (HEIGHT // 40, WIDTH // 40, 3), np.uint8))
    small.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR).save(first)
    for number in range(2, images + 1):
        os.link(first, first.with_name(file_name(number)))


def file_name(number):
    return f"{number:012d}.jpg"


def objects(categories, images, rng):
    """Columns image (from 0), category (position), box [G, 4]: as frequent as in training."""
    category = np.repeat(
        np.arange(len(categories)), rng.poisson(expected_images(categories, images))
    )
    image = rng.integers(0, images, len(category))
    more = (categories.instance_count / categories.image_count - 1).to_numpy()[category]
    copies = 1 + rng.geometric(1 / (1 + more)) - 1  # several in one image, many in a few
    image, category = np.repeat(image, copies), np.repeat(category, copies)
    return {"image": image, "category": category, "box": random_boxes(len(image), rng)}


def expected_images(categories, images):
    return (categories.image_count * (images / TRAIN_IMAGES)).to_numpy()


def random_boxes(count, rng):
    """xywh [count, 4] inside the picture; sizes spread evenly over their logarithm."""
    size = np.exp(rng.uniform(np.log(8), np.log(320), (count, 1)) + rng.normal(0, 0.25, (count, 2)))
    size = np.minimum(size, (WIDTH, HEIGHT))
    corner = rng.random((count, 2)) * (np.array([WIDTH, HEIGHT]) - size)
    return np.round(np.concatenate([corner, size], axis=1), 2)


def write_val(folder, categories, val, images, rng):
    categories.to_csv(folder / "categories.csv", index=False)
    ids = categories.id.to_numpy()
    present = np.unique(val["image"] * len(ids) + val["category"])
    negative = np.unique(rng.integers(0, images * len(ids), images * NEGATIVES))
    negative = negative[~np.isin(negative, present)]
    partial = present[rng.random(len(present)) < NOT_EXHAUSTIVE_SHARE]
    lists = {
        name: [ids[pairs[a:b] % len(ids)].tolist() for a, b in spans(pairs // len(ids), images)]
        for name, pairs in (
            ("neg_category_ids", negative),
            ("not_exhaustive_category_ids", partial),
        )
    }
    val |= {"pairs": np.concatenate([present, negative])}
    data = {
        "images": [
            {
                "id": number + 1, "file_name": file_name(number + 1),
                "width": WIDTH, "height": HEIGHT,
                **{name: of_image[number] for name, of_image in lists.items()},
            }
            for number in range(images)
        ],
        "annotations": [
            {
                "id": number, "image_id": image + 1, "category_id": category, "bbox": box,
                "area": round(box[2] * box[3] * 0.6, 2), "iscrowd": 0,
            }
            for number, (image, category, box) in enumerate(
                zip(
                    val["image"].tolist(), ids[val["category"]].tolist(), val["box"].tolist(),
                    strict=True,
                ), 1,
            )
        ],
        "categories": categories.to_dict("records"),
    }  # fmt: skip
    (folder / "val.json").write_text(json.dumps(data), encoding="utf-8")


def spans(sorted_groups, count):
    """(start, end) of each of the groups 0 to ``count`` - 1."""
    edges = np.searchsorted(sorted_groups, np.arange(count + 1))
    return zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)


def write_predictions(folder, method, categories, val, skill, images):
    """300 detections an image: found objects, doubles, confusions, and noise for the rest."""
    rng = np.random.default_rng(int(100 * skill))
    count = categories.image_count.to_numpy()
    level = np.clip(0.05 + (0.16 + 0.02 * skill) * np.log10(count) + 0.2 * skill, 0.02, 0.95)
    parts = [
        near_objects(val, level, level, 0.10 - 0.03 * skill, rng),
        near_objects(val, 0.4 * level, 0.5 * level, 0.25, rng),
        confused(val, level, count, rng),
    ]
    found = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    table = fill_up(found, val, count, images, rng)
    ids = categories.id.to_numpy()
    frame = pd.DataFrame({"image_id": table["image"] + 1, "category_id": ids[table["category"]]})
    for position, name in enumerate("xywh"):
        frame[name] = table["box"][:, position].astype(np.float32)
    frame["score"] = table["score"].astype(np.float32)
    (folder / "predictions").mkdir(exist_ok=True)
    frame.to_parquet(folder / "predictions" / f"{method}.parquet", index=False)


def near_objects(val, share, level, shift, rng):
    """Detections of some objects, ``shift`` of their size beside them."""
    mine = rng.random(len(val["image"])) < share[val["category"]]
    category, box = val["category"][mine], val["box"][mine]
    sides = box[:, [2, 3, 2, 3]]
    spread = shift * rng.gamma(2, 0.5, (len(box), 1))
    moved = box + rng.normal(0, 1, box.shape) * spread * sides
    moved[:, 2:] = np.maximum(moved[:, 2:], 1)
    logit = rng.normal(3 * level[category] - 1.5 - 4 * spread[:, 0], 1.2)
    return {
        "image": val["image"][mine], "category": category, "box": moved,
        "score": 1 / (1 + np.exp(-logit)),
    }  # fmt: skip


def confused(val, level, count, rng):
    """Detections of objects under another name, more often a frequent one."""
    part = near_objects(val, 0.8 - 0.5 * level, level, 0.15, rng)
    share = count**0.7
    part["category"] = rng.choice(len(count), len(part["image"]), p=share / share.sum())
    part["score"] *= 0.7
    return part


def fill_up(found, val, count, images, rng):
    """Cut to the limit an image, then noise up to it; a quarter of it of judged categories."""
    order = np.lexsort((-found["score"], found["image"]))
    rank = np.arange(len(order)) - np.searchsorted(found["image"][order], found["image"][order])
    order = order[rank < DETECTIONS]
    found = {key: column[order] for key, column in found.items()}
    image = np.repeat(np.arange(images), DETECTIONS - np.bincount(found["image"], minlength=images))
    share = count**0.7
    category = rng.choice(len(count), len(image), p=share / share.sum())
    pairs = rng.permutation(val["pairs"])
    pairs = pairs[np.argsort(pairs // len(count), kind="stable")]
    starts = np.searchsorted(pairs // len(count), np.arange(images + 1))
    sizes = np.diff(starts)[image]
    chosen = starts[image] + (rng.random(len(image)) * sizes).astype(int)
    judged = (rng.random(len(image)) < 0.25) & (sizes > 0)
    category[judged] = pairs[chosen[judged]] % len(count)
    noise = {
        "image": image, "category": category, "box": random_boxes(len(image), rng),
        "score": rng.beta(0.6, 8, len(image)) * 0.8,
    }  # fmt: skip
    table = {key: np.concatenate([found[key], noise[key]]) for key in found}
    order = np.lexsort((-table["score"], table["image"]))
    return {key: column[order] for key, column in table.items()}


def write_model(folder, method, skill):
    folder.mkdir(parents=True)
    rng = np.random.default_rng(int(100 * skill))
    steps = range(50, ITERATIONS + 1, 50)
    lines = [
        {
            "step": step, "epoch": step * EPOCHS // (ITERATIONS + 1) + 1,
            "loss": float(2 / step**0.3 - 0.1 * skill + rng.normal(0, 0.02)),
            "lr": 0.02, "images_per_second": 30.0,
        }
        for step in steps
    ]  # fmt: skip
    (folder / "scalars.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    environment = {
        "stage": "train_representation", "name": method, "started": "2024-05-01T10:00:00+00:00",
        "seconds": 40_000.0, "epochs": EPOCHS, "iterations": ITERATIONS, "peak_memory_mb": 9000,
        "python": "3.11.2", "torch": "2.13.0", "device": "cuda", "git_commit": "0123456789abcdef",
        "hostname": "node",
    }  # fmt: skip
    (folder / "environment.json").write_text(json.dumps(environment), encoding="utf-8")


def write_classifier(folder, classes, skill):
    """Weights of the last layer, and the confusion and draws of a classifier stage."""
    import torch

    from pipeline.detection.class_weights import write_class_weights

    rng = np.random.default_rng(int(100 * skill))
    weight = torch.from_numpy(rng.normal(0, 0.1, (classes + 1, 64)).astype(np.float32))
    head = "roi_head.bbox_head.fc_cls"
    state = {f"{head}.weight": weight, f"{head}.bias": weight[:, 0].clone()}
    write_class_weights(state, classes, folder)
    confusion = rng.dirichlet(np.full(classes, 0.01), classes).astype(np.float32)
    own = confusion.diagonal()[None].repeat(12, axis=0)
    np.savez_compressed(
        folder / "class_history.npz",
        epoch=np.arange(1, 13),
        own=own,
        probability=(1 - own) / (1 - own).sum(axis=1, keepdims=True),
        seen=np.ones((12, classes), bool),
        first=confusion,
        last=confusion[::-1],
    )
