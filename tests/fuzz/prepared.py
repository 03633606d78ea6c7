"""What `prepare` made of a damaged data set, against a slow reading of it by simple rules."""

import contextlib
import csv
import io
import json
import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from pycocotools import mask as rle

from pipeline.failures import explain
from tests.conftest import ROOT
from tests.fuzz import dataset
from tests.fuzz.outcome import (
    HALF_WRITTEN,
    LATE,
    RIGHT,
    SILENT,
    TRACEBACK,
    Damage,
    NoMeaning,
    Outcome,
    last_line,
    refusal,
)

SPLITS = ("train", "val")
FAR = 1e6  # pixels; a coordinate beyond has no meaning
DARK = 32  # of 255
LEFT_OUT = re.compile(
    r"^(train|val): (\d+) of \d+ (?:annotations|boxes|objects)\b.*left out", re.MULTILINE
)


def write_project(rng, folder: Path) -> None:
    """params.yaml and the images."""
    text = (ROOT / "configs/presets/own_data.yaml").read_text(encoding="utf-8")
    (folder / "params.yaml").write_text(text.replace("../own_data", "own_data"), encoding="utf-8")
    dataset.write_images(rng, folder / "own_data")


def judge(folder: Path, damage: Damage) -> Outcome:
    """Run the stage `prepare` in ``folder``, then compare."""
    os.chdir(folder)
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
            run_prepare()
    except (ValueError, OSError, RuntimeError) as error:
        text = explain(error)
        if text is None:
            return Outcome(TRACEBACK, last_line(error))
        left = [str(path) for place in ("data", "reports") for path in Path(place).rglob("*")]
        left = [path for path in left if path not in ("reports/data",)]
        if left:
            return Outcome(HALF_WRITTEN, f"{left[0]} is left after: {text}")
        return refusal(str(error) if "\n" in str(error) else text, damage.named)
    except Exception as error:
        return Outcome(TRACEBACK, last_line(error))
    return compare(printed.getvalue())


def run_prepare():
    from stages.prepare import prepare

    prepare()


def compare(printed):
    problems = []
    for split in SPLITS:
        try:
            meaning = read_slowly(split)
        except NoMeaning as reason:
            return Outcome(SILENT, f"accepted, though {split} has no meaning: {reason}")
        try:
            problems += differences(split, meaning, printed)
        except (ValueError, OSError) as error:
            return Outcome(LATE, f"after prepare: {last_line(error)}")
        except Exception as error:
            return Outcome(LATE, f"traceback after prepare: {last_line(error)}")
    if problems:
        return Outcome(SILENT, "; ".join(problems[:3]) + f" | printed: {printed!r}")
    return Outcome(RIGHT, printed)


# --- the slow reading -----------------------------------------------------------------------


@dataclass
class Meaning:
    """``objects``: image, category, box (clipped xywh), mask and whether it is left out or thin.

    ``aloud``: patterns that the printed lines must hold.
    """

    images: dict[int, dict]
    categories: dict[int, str]
    objects: list[dict]
    aloud: list[str]


def read_slowly(split: str) -> Meaning:
    """The annotation file of ``split`` by simple rules; ``NoMeaning`` where they do not hold."""
    document = parse(Path("own_data/annotations", f"{split}.json"))
    aloud = []
    categories = {whole(c["id"]): text(c["name"]) for c in items(document, "categories")}
    need(len(categories) == len(document["categories"]), "an id of categories occurs twice")
    need(len(set(categories.values())) == len(categories), "a name occurs twice")
    images = {}
    for image in items(document, "images"):
        need(whole(image.get("id")) not in images, "an id of images occurs twice")
        need(whole(image.get("width")) > 0 and whole(image.get("height")) > 0, "an empty image")
        for field in ("neg_category_ids", "not_exhaustive_category_ids"):
            check_federated(image.get(field), field, categories, aloud)
        images[image["id"]] = image
    files = Counter(str(find_file(image, split)) for image in images.values())
    aloud += [re.escape(Path(name).name) for name, count in files.items() if count > 1]
    if split == "train":
        odd = [c["frequency"] for c in document["categories"] if c.get("frequency") is not None]
        aloud += ["frequency"] if any(value not in ("r", "c", "f") for value in odd) else []
    seen, objects = set(), []
    for annotation in items(document, "annotations"):
        need(whole(annotation.get("id")) not in seen, "an id of annotations occurs twice")
        seen.add(annotation["id"])
        need(whole(annotation.get("category_id")) in categories, "an unknown category_id")
        need(whole(annotation.get("image_id")) in images, "an unknown image_id")
        objects.append(read_object(annotation, images[annotation["image_id"]], aloud))
    return Meaning(images, categories, objects, aloud)


def need(condition, reason):
    if not condition:
        raise NoMeaning(reason)


def parse(path):
    def pairs(found):
        result = dict(found)
        for key, value in found:
            need(repr(result[key]) == repr(value), f"{key!r} occurs twice, with two values")
        return result

    def whole_number(digits):  # Python itself refuses thousands of digits
        return int(digits) if len(digits) < 400 else 10**400

    try:
        text = path.read_bytes().decode("utf-8-sig")
        return json.loads(text, object_pairs_hook=pairs, parse_int=whole_number)
    except (ValueError, RecursionError, OSError) as error:
        raise NoMeaning(f"no JSON: {error}") from None


def items(document, section):
    need(isinstance(document, dict) and isinstance(document.get(section), list), section)
    for item in document[section]:
        need(isinstance(item, dict), f"{section} has {item!r}")
        need(section != "categories" or {"id", "name"} <= item.keys(), "a category without a name")
    return document[section]


def whole(value):
    need(type(value) is int and -(2**63) <= value < 2**63, f"{value!r} is no whole number")
    return value


def text(value):
    need(isinstance(value, str) and value and value.isprintable(), f"{value!r} is no name")
    return value


def number(value, limit=FAR):
    need(type(value) in (int, float) and abs(value) < limit, f"{value!r} is no coordinate")
    return value


def check_federated(value, field, categories, aloud):
    need(value is None or isinstance(value, list), f"{field} is {value!r}")
    for identifier in value or []:
        if type(identifier) is not int or identifier not in categories:
            aloud.append(field)


def flag(value):
    need(value is None or (not isinstance(value, str | list | dict) and value in (0, 1)),
         f"a flag is {value!r}")  # fmt: skip
    return bool(value)


def read_object(annotation, image, aloud):
    box = annotation.get("bbox")
    need(isinstance(box, list) and len(box) == 4, f"bbox is {box!r}")
    x, y, w, h = (number(value, 1e300) for value in box)
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + w, image["width"]), min(y + h, image["height"])
    left_out = flag(annotation.get("iscrowd")) or flag(annotation.get("ignore"))
    empty = right <= left or bottom <= top
    clipped = [left, top, right - left, bottom - top]
    area = annotation.get("area")
    need(type(area) in (int, float, type(None)), f"the area is {area!r}")
    if area is not None and not 0 < area <= image["width"] * image["height"]:
        aloud.append("area")
    return {
        "image": annotation["image_id"],
        "category": annotation["category_id"],
        "box": clipped,
        "mask": None if left_out or empty else read_mask(annotation, clipped, image, aloud),
        "area": area,
        "left_out": left_out or empty,
        "thin": min(clipped[2:]) < 1,
    }


def read_mask(annotation, box, image, aloud):
    """[H, W] of 0 and 1."""
    shape = height, width = image["height"], image["width"]
    given = annotation.get("segmentation")
    if isinstance(given, dict):
        return read_rle(given, shape)
    need(given is None or isinstance(given, list), f"segmentation is {given!r}")
    if given and not isinstance(given[0], list):
        given = [given]
    for polygon in given or []:
        need(isinstance(polygon, list), f"a polygon is {polygon!r}")
        for value in polygon:
            number(value)
    usable = [p for p in given or [] if len(p) >= 6 and len(p) % 2 == 0]
    if len(usable) < len(given or [None]):
        aloud.append("mask|polygon|segmentation")
    if not usable:
        x, y, w, h = box
        usable = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    return rle.decode(rle.merge(rle.frPyObjects(usable, height, width)))


def read_rle(given, shape):
    need(given.get("size") == list(shape), f"an RLE of size {given.get('size')!r}")
    counts = given.get("counts")
    if isinstance(counts, str):
        counts = decompress(counts)
    need(isinstance(counts, list), f"the counts are {counts!r}")
    need(all(whole(count) >= 0 for count in counts), "a negative count")
    need(sum(counts) == shape[0] * shape[1], "counts that do not fill the image")
    values = np.repeat(np.arange(len(counts)) % 2, counts).astype(np.uint8)
    return values.reshape(shape, order="F")


def decompress(text):
    """COCO's compressed counts, by its rules: 5 bits a character, differences from the third."""
    counts, place = [], 0
    while place < len(text):
        value, shift, more = 0, 0, True
        while more:
            need(place < len(text), "compressed counts that end early")
            code = ord(text[place]) - 48
            need(0 <= code < 64, f"compressed counts with {text[place]!r}")
            value |= (code & 31) << shift
            place, shift, more = place + 1, shift + 5, bool(code & 32)
            if not more and code & 16:
                value |= -1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
    return counts


def find_file(image, split):
    """The file that the record means: its name, else the last part of it, in the folder."""
    folder = Path("own_data", split)
    names = [image.get("file_name"), image.get("coco_url")]
    for name in names:
        need(name is None or isinstance(name, str), f"a file name is {name!r}")
        if name:
            parts = name.replace("\\", "/").split("/")
            for candidate in (name, "/".join(parts), "/".join(parts[-2:]), parts[-1]):
                try:
                    if candidate and (folder / candidate).is_file():
                        return (folder / candidate).resolve()
                except (ValueError, OSError):
                    raise NoMeaning(f"no file is named {name!r}") from None
    raise NoMeaning(f"there is no file {names!r}")


# --- what training and evaluation read ------------------------------------------------------


def differences(split, meaning, printed):
    """What is not as the slow reading has it, in words."""
    problems = [f"not said: {p}" for p in meaning.aloud if not re.search(p, printed)]
    found = read_as_training(split)
    labels = sorted(meaning.categories)
    expected = {
        (o["image"], o["category"], *np.round(o["box"], 2)): o
        for o in meaning.objects
        if not o["left_out"] and not (o["thin"] and split == "train")
    }
    learned = Counter()
    for item in found:
        image = meaning.images[item["img_id"]]
        problems += differences_of_image(item, image, split)
        if item["img"].max() <= DARK and not re.search("dark|black", printed):
            problems.append(f"{split}: image {image['id']} is nearly black, which is not said")
        for box, label, mask in zip(
            boxes_of(item), item["gt_bboxes_labels"], item["gt_masks"].to_ndarray(), strict=True
        ):
            x1, y1, x2, y2 = map(float, box)
            key = (item["img_id"], labels[label], *np.round([x1, y1, x2 - x1, y2 - y1], 2))
            match = nearest(key, expected)
            learned[labels[label]] += 1
            if match is None:
                problems.append(f"{split}: trains on {key}, which the file does not have")
            elif not np.array_equal(mask, match["mask"]):
                problems.append(f"{split}: another mask of {key}")
    total, most = sum(learned.values()), len(expected)
    fewest = sum(not o["thin"] for o in expected.values())  # nobody trains on val
    if not fewest <= total <= most:
        problems.append(f"{split}: trains on {total} objects, the file has {most}")
    said = sum(int(m[2]) for m in LEFT_OUT.finditer(printed) if m[1] == split)
    missing = [o for o in meaning.objects if o["left_out"] or (o["thin"] and split == "train")]
    if said != len(missing):
        problems.append(f"{split}: {len(missing)} objects are left out, {said} are said to be")
    if split == "train":
        problems += differences_of_counts(learned, found, labels)
        problems += [] if total else ["there is nothing to train on"]
    return problems + differences_of_evaluation(split, meaning)


def nearest(key, expected):
    for other, match in expected.items():
        if other[:2] == key[:2] and np.allclose(other[2:], key[2:], atol=0.02):
            return match
    return None


def read_as_training(split):
    """The items of the data set after loading, as `pipeline.training` builds it."""
    from mmdet.registry import DATASETS
    from mmengine.registry import init_default_scope

    import pipeline.detection
    import pipeline.training.transforms  # noqa: F401  (registers ours)
    from pipeline.data.places import image_folder, index_folder
    from pipeline.params import Augmentation, load
    from pipeline.training.augmentation import load_transforms

    init_default_scope("mmdet")
    params = load()
    loading = load_transforms(Augmentation(copy_paste=1), params.detector.image_scale)[:2]
    data = DATASETS.build(dict(
        type="LongTailDataset",
        ann_file=index_folder(params, split),
        data_prefix=dict(img=str(image_folder(params, split))),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=loading,
    ))  # fmt: skip
    return [data[position] for position in range(len(data))]


def boxes_of(item):
    return item["gt_bboxes"].tensor.numpy()


def differences_of_image(item, image, split):
    height, width = item["img"].shape[:2]
    problems = []
    if (width, height) != (image["width"], image["height"]):
        problems.append(
            f"{split}: image {image['id']} is loaded as {width}x{height}, annotated as "
            f"{image['width']}x{image['height']}"
        )
    elif not same_picture(item["img"][..., ::-1], find_file(image, split)):
        problems.append(f"{split}: image {image['id']} is loaded as another picture")
    for x1, y1, x2, y2 in boxes_of(item):
        if not (-0.01 <= x1 < x2 <= width + 0.01 and -0.01 <= y1 < y2 <= height + 0.01):
            problems.append(f"{split}: a box {x1, y1, x2, y2} out of image {image['id']}")
    return problems


def same_picture(loaded, path):
    """Within what two decoders differ; a picture of more bits may be scaled."""
    with Image.open(path) as opened:
        if opened.mode.startswith(("I", "F")):
            return True
        shown = np.asarray(ImageOps.exif_transpose(opened).convert("RGB"), float)
    return shown.shape == loaded.shape and abs(shown - loaded).mean() < 12


def differences_of_counts(learned, found, labels):
    with open("data/own_data/categories.csv", encoding="utf-8", newline="") as file:
        rows = {int(row["id"]): row for row in csv.DictReader(file)}
    if sorted(rows) != labels:
        return [f"categories.csv has the ids {sorted(rows)}"]
    in_images = Counter(
        labels[label] for item in found for label in set(map(int, item["gt_bboxes_labels"]))
    )
    counted = {
        "instance_count": {c: learned[c] for c in labels},
        "image_count": {c: in_images[c] for c in labels},
    }
    return [
        f"categories.csv has the {name} {[int(rows[c][name]) for c in labels]}, training sees "
        f"{list(seen.values())}"
        for name, seen in counted.items()
        if [int(rows[c][name]) for c in labels] != list(seen.values())
    ]


def differences_of_evaluation(split, meaning):
    """The file that evaluation reads is strict JSON, and its own objects score 1."""
    from pipeline.evaluation.evaluate import evaluate_files

    path = Path(f"data/own_data/{split}.json")
    written = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse_constant)
    problems = []
    for section in ("images", "annotations", "categories"):
        ids = [item["id"] for item in written[section]]
        if len(set(ids)) < len(ids):
            problems.append(f"{path.name}: two {section} with one id")
    areas = [annotation["area"] for annotation in written["annotations"]]
    largest = dataset.WIDTH * dataset.HEIGHT
    if not all(type(area) in (int, float) and 0 < area <= largest for area in areas):
        problems.append(f"{path.name} has the areas {areas}")
    unsure = {(o["image"], o["category"]) for o in meaning.objects if o["left_out"]}
    for image in written["images"]:
        negative = set(image["neg_category_ids"])
        half = set(image["not_exhaustive_category_ids"])
        mine = {category for identifier, category in unsure if identifier == image["id"]}
        if mine & negative or mine - half:
            problems.append(f"{path.name}: image {image['id']} judges what was left out")
    results = [
        {
            "image_id": o["image"],
            "category_id": o["category"],
            "bbox": o["box"],
            "score": 1.0,
            "segmentation": compressed(o["mask"]),
        }
        for o in meaning.objects
        if not o["left_out"]
    ]
    Path("perfect.json").write_text(json.dumps(results), encoding="utf-8")
    drawn = all(o["mask"].any() for o in meaning.objects if not o["left_out"])
    for iou_type in ("bbox", "segm") if drawn else ("bbox",):
        with contextlib.redirect_stderr(io.StringIO()):
            score = evaluate_files(path, "perfect.json", iou_type).metrics["AP"]
        if score is None or score < 1 - 1e-6:
            problems.append(f"{path.name}: its own objects have {iou_type} AP {score}")
    return problems


def compressed(mask):
    encoded = rle.encode(np.asfortranarray(mask))
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


def refuse_constant(name):
    raise ValueError(f"{name} is no JSON")
