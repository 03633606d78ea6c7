"""The generated data set: long tail, federated fields, exact masks, reproducible bytes."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as rle

from pipeline.data.categories import read_categories
from pipeline.data.drawing import deal_labels
from pipeline.data.sources.symbols import Data
from pipeline.files import file_digest, read_json

DATA = Data(
    name="symbols",
    source="symbols",
    categories=24,
    exponent=1.6,
    train_images=150,
    val_images=40,
    image_size=96,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    out = tmp_path_factory.mktemp("symbols")
    DATA.prepare(out)
    return out


@pytest.fixture(scope="module", params=["train", "val"])
def split(made, request):
    return request.param, read_json(made / f"{request.param}.json")


def test_train_has_rare_common_and_frequent_categories_by_lvis_rule(made):
    train = read_json(made / "train.json")
    pairs = {(a["category_id"], a["image_id"]) for a in train["annotations"]}
    images = Counter(category for category, _ in pairs)
    instances = Counter(a["category_id"] for a in train["annotations"])
    for category in train["categories"]:
        count = images[category["id"]]
        assert category["image_count"] == count >= 1
        assert category["instance_count"] == instances[category["id"]]
        assert category["frequency"] == ("r" if count <= 10 else "c" if count <= 100 else "f")
    assert {c["frequency"] for c in train["categories"]} == set("rcf")
    assert max(images.values()) > 20 * min(images.values())


def test_the_csv_agrees_with_the_annotations(made):
    rows = read_categories(made / "categories.csv")
    for row, category in zip(rows, read_json(made / "val.json")["categories"], strict=True):
        assert {k: category[k] for k in row} == row


def test_zipf_counts_follow_the_exponent():
    counts = np.bincount(np.concatenate(deal_labels(replace(DATA, train_images=4000), "train")))
    ranks = np.arange(1, DATA.categories + 1)
    slope = np.polyfit(np.log(ranks), np.log(counts), 1)[0]
    assert slope == pytest.approx(-DATA.exponent, abs=0.05)


def test_val_is_near_balanced(made):
    counts = Counter(a["category_id"] for a in read_json(made / "val.json")["annotations"])
    assert len(counts) == DATA.categories
    assert max(counts.values()) <= 2 * min(counts.values())


def test_federated_fields_are_right(split):
    _, document = split
    present = {image["id"]: set() for image in document["images"]}
    for annotation in document["annotations"]:
        present[annotation["image_id"]].add(annotation["category_id"])
    for image in document["images"]:
        negative = set(image["neg_category_ids"])
        assert negative <= {c["id"] for c in document["categories"]}
        assert not negative & present[image["id"]]
        assert set(image["not_exhaustive_category_ids"]) <= present[image["id"]]
    assert all(image["neg_category_ids"] for image in document["images"])
    assert any(image["not_exhaustive_category_ids"] for image in document["images"])


def test_boxes_are_the_tight_boxes_of_the_masks(split):
    _, document = split
    for annotation in document["annotations"]:
        mask = rle.decode(annotation["segmentation"])
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        x, y = columns[0], rows[0]
        assert annotation["bbox"] == [x, y, columns[-1] - x + 1, rows[-1] - y + 1]
        assert annotation["area"] == mask.sum() > 0


def test_masks_do_not_overlap_and_cover_what_was_drawn(made):
    document = read_json(made / "train.json")
    for image in document["images"][:20]:
        annotations = [a for a in document["annotations"] if a["image_id"] == image["id"]]
        masks = np.stack([rle.decode(a["segmentation"]) for a in annotations])
        assert masks.sum(0).max() == 1
        pixels = np.asarray(Image.open(made / "images/train" / image["file_name"]), float)
        assert pixels.shape == (image["height"], image["width"], 3)
        for mask in masks:  # a symbol stands out from what is around it
            box = rle.toBbox(rle.encode(np.asfortranarray(mask))).astype(int)
            window = np.s_[box[1] : box[1] + box[3], box[0] : box[0] + box[2]]
            inside, outside = mask[window] > 0, mask[window] == 0
            if outside.sum() > 20:
                contrast = pixels[window][inside].mean(0) - pixels[window][outside].mean(0)
                assert np.abs(contrast).max() > 8


def test_train_and_val_share_no_image(made):
    train, val = (
        {file_digest(path) for path in (made / "images" / s).iterdir()} for s in ("train", "val")
    )
    assert len(train) == DATA.train_images
    assert len(val) == DATA.val_images
    assert not train & val


def digests(folder):
    return {str(p.relative_to(folder)): file_digest(p) for p in folder.rglob("*") if p.is_file()}


def test_same_seed_same_bytes_and_another_seed_others(tmp_path):
    small = replace(DATA, train_images=6, val_images=3)
    for name, seed in (("one", 0), ("again", 0), ("other", 1)):
        replace(small, seed=seed).prepare(tmp_path / name)
    one, again, other = (digests(tmp_path / name) for name in ("one", "again", "other"))
    assert one == again
    assert not {one[k] for k in one if k.endswith("png")} & set(other.values())


def test_more_images_leave_the_symbols_of_a_category_alone(tmp_path):
    replace(DATA, train_images=5, val_images=2).prepare(tmp_path / "few")
    replace(DATA, train_images=8, val_images=2).prepare(tmp_path / "many")
    few, many = (read_json(tmp_path / n / "val.json") for n in ("few", "many"))
    assert [c["name"] for c in few["categories"]] == [c["name"] for c in many["categories"]]


def test_too_many_categories_is_a_clear_error(tmp_path):
    with pytest.raises(ValueError, match=r"data\.categories is 399; symbols has \d+"):
        replace(DATA, categories=399).prepare(tmp_path)
