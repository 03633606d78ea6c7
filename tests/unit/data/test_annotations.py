"""COCO- and LVIS-format files are completed to what LVIS needs; what is broken is named."""

import copy
import json

import pytest

from pipeline.data.annotations import complete_categories, read_split
from pipeline.data.categories import frequency, read_categories
from pipeline.data.sources.files import Data, Split
from pipeline.evaluation.evaluate import evaluate_files

COCO = {
    "images": [
        {"id": 10, "file_name": "ten.png", "width": 40, "height": 30},
        {"id": 11, "file_name": "eleven.png", "width": 40, "height": 30},
    ],
    "annotations": [
        {"id": 1, "image_id": 10, "category_id": 90, "bbox": [1, 2, 10, 20]},
        {"id": 2, "image_id": 10, "category_id": 90, "bbox": [15, 2, 10, 20]},
        {"id": 3, "image_id": 11, "category_id": 7, "bbox": [0, 0, 5, 5]},
    ],
    "categories": [{"id": 90, "name": "猫"}, {"id": 7, "name": "tasse à café"}],
}


@pytest.fixture
def write(tmp_path):
    """Writes COCO with changes, returns the path."""

    def write(change=None, name="train.json"):
        document = copy.deepcopy(COCO)
        if change:
            change(document)
        path = tmp_path / name
        path.write_text(json.dumps(document), encoding="utf-8")
        return path

    return write


def test_a_coco_file_gets_the_federated_fields_of_exhaustive_annotation(write):
    split = read_split(write(), "train")
    ten, eleven = split["images"]
    assert (ten["neg_category_ids"], eleven["neg_category_ids"]) == ([7], [90])
    assert ten["not_exhaustive_category_ids"] == []


def test_a_box_without_a_mask_stands_in_for_it(write):
    first = read_split(write(), "train")["annotations"][0]
    assert first["area"] == 200
    assert first["segmentation"] == [[1, 2, 11, 2, 11, 22, 1, 22]]
    assert first["iscrowd"] == 0


def test_the_area_comes_from_the_mask_where_there_is_one(write):
    triangle = [[0, 0, 20, 0, 0, 20]]
    path = write(lambda d: d["annotations"][0].update(segmentation=triangle))
    assert read_split(path, "train")["annotations"][0]["area"] == pytest.approx(200, rel=0.1)


def test_counts_and_frequencies_are_those_of_the_training_images(write):
    split = read_split(write(), "train")
    seven, ninety = complete_categories(split, split)
    assert (seven["id"], seven["image_count"], seven["instance_count"]) == (7, 1, 1)
    assert (ninety["image_count"], ninety["instance_count"]) == (1, 2)
    assert seven["frequency"] == ninety["frequency"] == "r"


def test_lvis_frequency_rule():
    assert "".join(map(frequency, (1, 10, 11, 100, 101))) == "rrccf"


def test_a_frequency_that_all_categories_carry_is_kept(write):
    def given(document):
        for category in document["categories"]:
            category["frequency"] = "f"

    split = read_split(write(given), "train")
    assert {c["frequency"] for c in complete_categories(split, split)} == {"f"}


def test_crowds_and_empty_boxes_are_left_out_and_their_category_is_not_judged(write, capsys):
    def spoil(document):
        document["annotations"][0]["iscrowd"] = 1
        document["annotations"][1]["bbox"] = [15, 2, 0, 20]

    split = read_split(write(spoil), "train")
    assert [a["id"] for a in split["annotations"]] == [3]
    assert split["images"][0]["not_exhaustive_category_ids"] == [90]
    assert 90 not in split["images"][0]["neg_category_ids"]
    assert "1 of 3 annotations are crowds" in capsys.readouterr().out


def test_boxes_are_clipped_to_the_image(write):
    path = write(lambda d: d["annotations"][0].update(bbox=[-5, 20, 10, 20]))
    assert read_split(path, "train")["annotations"][0]["bbox"] == [0, 20, 5, 10]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.pop("categories"), ["categories"]),
        (lambda d: d["annotations"][1].pop("bbox"), ["bbox"]),
        (lambda d: d["annotations"][1].update(image_id=99), ["99"]),
        (lambda d: d["annotations"][1].update(category_id=8), ["8"]),
        (lambda d: d["annotations"][1].update(id=1), ["1"]),
        (lambda d: d["images"][1].update(id=10), ["10"]),
        (lambda d: d["images"][1].update(width="wide"), ["width", "wide"]),
        (lambda d: d["images"][1].update(neg_category_ids=[7]), ["neg_category_ids", "1 of 2"]),
        (lambda d: d["categories"][1].update(name="猫"), ["猫", "rename"]),
    ],
)
def test_a_broken_file_is_named_with_what_is_wrong(write, change, words):
    path = write(change)
    with pytest.raises(ValueError, match=r"train\.json") as caught:
        read_split(path, "train")
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"images": 3}', "\x00"])
def test_a_truncated_or_foreign_file_is_named(tmp_path, text):
    path = tmp_path / "train.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"train\.json"):
        read_split(path, "train")


def test_train_and_val_must_have_the_same_categories(write):
    train = read_split(write(), "train")
    other = write(lambda d: d["categories"][0].update(name="dog"), "val.json")
    with pytest.raises(ValueError, match="'猫' in train and 'dog' in val"):
        complete_categories(train, read_split(other, "val"))


def test_prepare_makes_files_that_evaluate(write, tmp_path):
    from PIL import Image

    for name in ("ten.png", "eleven.png"):
        Image.new("RGB", (40, 30)).save(tmp_path / name)
    write()
    write(name="val.json")
    files = [Split(annotations=f"{s}.json", images=str(tmp_path)) for s in ("train", "val")]
    data = Data(
        name="mine", source="files", annotations=str(tmp_path), train=files[0], val=files[1]
    )
    out = tmp_path / "out"
    out.mkdir()
    data.prepare(out)
    names = [row["name"] for row in read_categories(out / "categories.csv")]
    assert names == ["tasse à café", "猫"]
    truth = [
        {"image_id": a["image_id"], "category_id": a["category_id"], "bbox": a["bbox"], "score": 1}
        for a in json.loads((out / "val.json").read_text())["annotations"]
    ]
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    metrics = evaluate_files(out / "val.json", tmp_path / "truth.json").metrics
    assert metrics["AP"] == metrics["APr"] == pytest.approx(1)
    assert metrics["APf"] is None
