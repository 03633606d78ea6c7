"""A small finished project, written from random numbers: what the report stage reads."""

import itertools
import json

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw

from pipeline.diagnosis.bins import frequency_bins
from pipeline.evaluation.groupings import GROUPINGS

NAMES = (
    "BLACK CHESS QUEEN", "WHITE CHESS QUEEN", "CIRCLED SANS-SERIF DIGIT EIGHT", "PENCIL",
    "SNOWFLAKE", "BLACK STAR", "a&b <i>", "none", "日本語の名前", "UMBRELLA", "RIGHTWARDS ARROW",
    "x_y$z",
)  # fmt: skip
COUNTS = (2, 3, 5, 9, 14, 22, 35, 60, 88, 130, 260, 400)
SKILL = {"softmax": 0.0, "bce": -0.1, "bacl": 0.25}

PARAMS = """
data: {name: blocks, source: symbols, categories: 12, val_images: 20}
detector: {config: faster_rcnn_r18_fpn, image_scale: [128, 128]}
train: {batch_size: 16, learning_rate: 0.04}
representation:
  softmax: {loss: {type: cross_entropy}, epochs: 24}
  bce: {loss: {type: bce}, epochs: 12}
classifier:
  bacl: {from: bce, loss: {type: fcbl}, epochs: 12}
report: {methods: [softmax, bce, bacl], baseline: softmax, gallery_images: 4}
"""


def frequency(count):
    return "r" if count <= 10 else "c" if count <= 100 else "f"


def make_project(root, counts=COUNTS, images=20, names=NAMES):
    """Write everything that the report of softmax, bce and bacl reads, under ``root``."""
    rng = np.random.default_rng(0)
    (root / "params.yaml").write_text(PARAMS, encoding="utf-8")
    categories = [
        {
            "id": i + 1,
            "name": names[i % len(names)] if i < len(names) else f"{names[i % len(names)]} {i}",
            "frequency": frequency(count),
            "image_count": count,
            "instance_count": 2 * count,
        }
        for i, count in enumerate(counts)
    ]
    val = make_val(root / "data" / "blocks", categories, images, rng)
    write_categories(root / "data" / "blocks" / "categories.csv", categories)
    for method, skill in SKILL.items():
        write_predictions(root, method, val, skill, rng)
        write_metrics(root, method, categories, skill, rng)
        write_model(root, method, rng)
        write_diagnosis(root / "reports" / "diagnosis" / method, method, categories, rng)


def make_val(folder, categories, images, rng):
    (folder / "images" / "val").mkdir(parents=True)
    val = {"images": [], "annotations": [], "categories": categories}
    for image_id in range(1, images + 1):
        picture = Image.fromarray(rng.integers(90, 140, (128, 128, 3), dtype=np.uint8))
        draw = ImageDraw.Draw(picture)
        present = rng.choice(len(categories), 3, replace=False)
        for category in present:
            x, y = rng.integers(0, 84, 2)
            w, h = rng.integers(22, 44, 2)
            draw.rectangle([x, y, x + w, y + h], fill=tuple(rng.integers(0, 255, 3).tolist()))
            val["annotations"].append(
                {
                    "id": len(val["annotations"]) + 1,
                    "image_id": image_id,
                    "category_id": int(category) + 1,
                    "bbox": [float(x), float(y), float(w), float(h)],
                    "area": float(w * h),
                    "iscrowd": 0,
                }
            )
        absent = [c["id"] for c in categories if c["id"] - 1 not in present]
        val["images"].append(
            {
                "id": image_id,
                "file_name": f"{image_id:06d}.png",
                "width": 128,
                "height": 128,
                "neg_category_ids": absent[: len(absent) // 2],
                "not_exhaustive_category_ids": [],
            }
        )
        picture.save(folder / "images" / "val" / f"{image_id:06d}.png")
    (folder / "val.json").write_text(json.dumps(val), encoding="utf-8")
    return val


def write_categories(path, categories):
    columns = ["id", "name", "frequency", "image_count", "instance_count"]
    pd.DataFrame(categories)[columns].to_csv(path, index=False)


def write_predictions(root, method, val, skill, rng):
    """Boxes near the truth, found more often and named better with more skill; and some noise."""
    rows = []
    known = [c["id"] for c in val["categories"]]
    for a in val["annotations"]:
        if rng.random() < 0.6 + skill:
            box = np.array(a["bbox"]) + rng.normal(0, 2, 4)
            rows.append((a["image_id"], a["category_id"], *box, rng.uniform(0.4, 0.99)))
        other = int(rng.choice(known))
        noise = (*rng.integers(0, 80, 2), *rng.integers(15, 48, 2))
        rows.append((a["image_id"], other, *noise, rng.uniform(0.01, 0.5)))
    columns = ["image_id", "category_id", "x", "y", "w", "h", "score"]
    path = root / "predictions" / f"{method}.parquet"
    path.parent.mkdir(exist_ok=True)
    table = pd.DataFrame(rows, columns=columns).astype(dict.fromkeys("xywh", "float64"))
    table.to_parquet(path, index=False)


def write_metrics(root, method, categories, skill, rng):
    table = pd.DataFrame(categories).rename(columns={"id": "category_id"})
    level = 0.18 * np.log(table.image_count) + skill / (1 + table.image_count / 20)
    table["AP"] = (level + rng.normal(0, 0.08, len(table))).clip(0, 1)
    table["AP50"] = (table.AP * 1.4).clip(upper=1)
    table["fixed_AP"] = table.AP
    (root / "reports" / "per_category").mkdir(parents=True, exist_ok=True)
    table.to_csv(root / "reports" / "per_category" / f"{method}.csv", index=False)
    means = table.groupby("frequency").AP.mean()
    metrics = {
        "AP": table.AP.mean(), "AP50": table.AP50.mean(), "AP75": table.AP.mean() * 0.9,
        "APs": None, "APm": None, "APl": None, "AR@300": table.AP.mean(),
        **{f"AP{g}": float(means[g]) if g in means else None for g in "rcf"},
    }  # fmt: skip
    metrics |= {f"fixed/{key}": value for key, value in metrics.items()}
    path = root / "reports" / "metrics" / f"{method}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(metrics), encoding="utf-8")


def write_model(root, method, rng):
    folder = root / "models" / method
    folder.mkdir(parents=True)
    steps = range(10, 751, 10)
    lines = [
        {
            "step": step, "epoch": step // 63 + 1,
            "loss": float(2 / step**0.3 + rng.normal(0, 0.02)), "lr": 0.04 if step < 500 else 0.004,
            "images_per_second": float(rng.normal(30, 1)),
        }
        for step in steps
    ]  # fmt: skip
    (folder / "scalars.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    environment = {
        "stage": "train_classifier" if method == "bacl" else "train_representation",
        "name": method, "started": "2024-05-01T10:00:00+00:00", "seconds": 412.5, "epochs": 12,
        "iterations": 750, "peak_memory_mb": 2048, "python": "3.11.2", "torch": "2.13.0",
        "device": "cpu", "ranks": 1, "git_commit": "0123456789abcdef",
        "hostname": "laptop",
    }  # fmt: skip
    (folder / "environment.json").write_text(json.dumps(environment))


def write_diagnosis(folder, method, categories, rng):
    """As the stage `diagnose`; confusion and hallucination of bacl only."""
    folder.mkdir(parents=True)
    skill, ids = SKILL[method], [c["id"] for c in categories]
    groups = sorted({c["frequency"] for c in categories}, key="rcf".index)
    kinds = {"Cls": 0.1, "Loc": 0.05, "Both": 0.01, "Dupe": 0.005, "Bkg": 0.04, "Miss": 0.08}
    errors = {"AP50": 0.5, "delta": {k: v * (1 - skill) for k, v in kinds.items()}, "counts": {}}
    whole = {"tide": errors, "ece": {"all": 0.125}}
    (folder / "errors.json").write_text(json.dumps(whole))
    tenths = [i / 10 for i in range(10)]
    bins = [(g, low, low + 0.1, 50, low + 0.05) for g in ["all", *groups] for low in tenths]
    write_objects(folder)
    table = pd.DataFrame(bins, columns=["group", "low", "high", "count", "mean_score"])
    write(folder / "calibration.csv", table.assign(precision=table.mean_score ** (1 + skill)))
    scores = rng.uniform(0.3, 0.9, len(ids))
    classes = {"category_id": ids, "judged": 9, "mean_score": scores / 2}
    write(folder / "classes.csv", pd.DataFrame(classes).assign(correct_score=scores))
    norms = 1 + rng.random(len(ids))
    weights = {"category_id": ids, "weight_norm": norms, "bias": -norms}
    write(folder / "classifier.csv", pd.DataFrame(weights))
    names = ["AP", *(f"AP{g}" for g in groups)]
    draws = 0.3 + skill / 10 + rng.normal(0, 0.02, (1000, len(names)))
    write(folder / "bootstrap.csv", pd.DataFrame(draws, columns=names))
    write_history(folder, categories if method == "bacl" else [])


def write_objects(folder):
    rows = []
    for name, grouping in GROUPINGS.items():
        names = ("correct", *grouping.names, "-", "nothing")
        rows += [
            (name, group, outcome, 0 if outcome == "-" else 5)
            for group in grouping.names
            for outcome in names
        ]
    table = pd.DataFrame(rows, columns=["grouping", "group", "outcome", "objects"])
    write(folder / "objects.csv", table)


def write_history(folder, categories):
    confusion, sampling = [], []
    for name, grouping in GROUPINGS.items():
        labels, _ = frequency_bins(categories, grouping)
        for epoch, true in itertools.product(("first", "last"), labels):
            confusion += [(name, epoch, true, to, 0.1) for to in ("self", *labels)]
        epochs = itertools.product(range(1, 6), labels)
        sampling += [(name, epoch, label, 2, 1 / len(labels), 1.0) for epoch, label in epochs]
    columns = ["grouping", "epoch", "true", "predicted", "share"]
    write(folder / "confusion.csv", pd.DataFrame(confusion, columns=columns))
    columns = ["grouping", "epoch", "bin", "categories", "probability", "seen"]
    write(folder / "sampling.csv", pd.DataFrame(sampling, columns=columns))
    pairs = [("PENCIL", 9, "none", 60, 0.4, 0.1), ("a&b <i>", 35, "PENCIL", 9, 0.2, 0.0)]
    columns = ["true", "true_images", "predicted", "predicted_images", "first", "last"]
    write(folder / "confused_pairs.csv", pd.DataFrame(pairs[: len(categories)], columns=columns))


def write(path, table):
    table.to_csv(path, index=False, lineterminator="\n")
