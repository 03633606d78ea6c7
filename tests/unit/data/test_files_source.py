"""A data set on disk from end to end: real files, round trips, and corners of the completion."""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pipeline.data.annotation_file import write_annotation_file
from pipeline.data.annotations import complete_categories, read_split
from pipeline.data.categories import frequency, read_categories, write_categories
from pipeline.data.images import verify_images, write_manifest
from pipeline.data.index import Index
from pipeline.data.sources.files import Data, Split
from pipeline.evaluation.truth import read_truth


@pytest.fixture
def coco():
    """COCO-format: three categories with gaps in their ids, the last is in no image."""
    return {
        "images": [
            {"id": 5, "file_name": "five.png", "width": 40, "height": 30},
            {"id": 90, "file_name": "ninety.png", "width": 20, "height": 20},
        ],
        "annotations": [
            {"id": 1, "image_id": 5, "category_id": 2, "bbox": [1, 2, 10, 10]},
            {"id": 2, "image_id": 5, "category_id": 2, "bbox": [20, 2, 5, 5]},
            {"id": 8, "image_id": 90, "category_id": 70, "bbox": [3, 3, 4, 4]},
        ],
        "categories": [
            {"id": 70, "name": "狗"},
            {"id": 2, "name": "قطة"},
            {"id": 11, "name": "naïve ☃"},
        ],
    }


@pytest.fixture
def read(tmp_path):
    def write_and_read(data):
        path = tmp_path / "annotations.json"
        path.write_text(data if isinstance(data, str) else json.dumps(data))
        return read_split(path, "train")

    return write_and_read


def test_rule_gives_the_frequencies_of_lvis(shared):
    for version in ("0.5", "1"):
        path = shared / f"data/lvis_meta/lvis_v{version}_train_cat_info.json"
        for category in json.loads(path.read_text()):
            assert frequency(category["image_count"]) == category["frequency"]


@pytest.mark.parametrize(("carriers", "expected"), [(3, "fff"), (2, "rrr")])
def test_own_frequency_counts_only_if_all_carry_it(read, coco, carriers, expected):
    for category in coco["categories"][:carriers]:
        category["frequency"] = "f"
    split = read(coco)
    assert "".join(c["frequency"] for c in complete_categories(split, split)) == expected


def test_lvis_fields_are_kept(read, coco):
    for image in coco["images"]:
        image.update(neg_category_ids=[11], not_exhaustive_category_ids=[2])
    coco["annotations"][0].update(area=7.5, segmentation=[[1, 2, 9, 2, 9, 9]])
    split = read(coco)
    assert split["images"][0]["neg_category_ids"] == [11]
    assert split["images"][0]["not_exhaustive_category_ids"] == [2]
    assert split["annotations"][0]["area"] == 7.5
    assert split["annotations"][0]["segmentation"] == [[1, 2, 9, 2, 9, 9]]


def test_rounding_at_the_border_is_no_clipping(read, coco, capsys):
    coco["annotations"][2]["bbox"] = [12.3, 3, 7.7000001, 4]
    assert read(coco)["annotations"][2]["bbox"] == [12.3, 3, 7.7000001, 4]
    assert "clipped" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("segmentation", "area"),
    [([[1, 2, 11, 2, 11, 12, 1, 12]], 100), ({"size": [30, 40], "counts": [100, 25, 1075]}, 25)],
)
def test_missing_area_is_the_area_of_the_mask(read, coco, segmentation, area):
    coco["annotations"][0]["segmentation"] = segmentation
    found = read(coco)["annotations"][0]
    assert found["area"] == area and found["segmentation"] == segmentation


def test_polygons_without_three_corners_are_replaced(read, coco):
    coco["annotations"][0]["segmentation"] = [[1, 2, 3, 4]]
    assert read(coco)["annotations"][0]["segmentation"] == [[1, 2, 11, 2, 11, 12, 1, 12]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop(), "11 .* is only in train"),
        (lambda c: c.append({"id": 12, "name": "new"}), "12 'new' is only in val"),
        (lambda c: c[0].update(name="cat"), "70 is '狗' in train and 'cat' in val"),
    ],
)
def test_both_splits_must_have_the_same_categories(read, coco, change, message):
    val = copy.deepcopy(coco)
    change(val["categories"])
    with pytest.raises(ValueError, match=message):
        complete_categories(read(coco), read(val))


def test_categories_csv_round_trip(tmp_path):
    categories = [
        {"id": 9, "name": 'a "b", ☃', "frequency": "r", "image_count": 1, "instance_count": 4},
        {"id": 2, "name": "狗", "frequency": "f", "image_count": 101, "instance_count": 102},
    ]
    write_categories(tmp_path / "categories.csv", [{**c, "synset": "x"} for c in categories])
    assert read_categories(tmp_path / "categories.csv") == categories[::-1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,name\n1,a\n", "has no column 'frequency'"),
        ("id,name,frequency,image_count,instance_count\n1,a,r,x,1\n", "no whole number"),
        (None, "does not exist; run the stage `prepare`"),
    ],
)
def test_wrong_categories_csv(tmp_path, text, message):
    path = tmp_path / "categories.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_categories(path)


def test_annotation_file_is_plain_json(tmp_path, coco):
    write_annotation_file(tmp_path / "out.json", coco)
    assert json.loads((tmp_path / "out.json").read_text(encoding="utf-8")) == coco
    empty = {"images": [], "annotations": [], "categories": []}
    write_annotation_file(tmp_path / "out.json", empty)
    assert json.loads((tmp_path / "out.json").read_text()) == empty


@pytest.fixture
def on_disk(tmp_path, coco):
    for image in coco["images"]:
        pixels = np.zeros((image["height"], image["width"], 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / image["file_name"])
    for split in ("train", "val"):
        (tmp_path / f"{split}.json").write_text(json.dumps(coco))
    files = {s: Split(annotations=f"{s}.json", images=str(tmp_path)) for s in ("train", "val")}
    return Data(name="mine", source="files", annotations=str(tmp_path), verify="decode", **files)


def test_prepare_makes_what_evaluation_reads(on_disk, tmp_path):
    out = tmp_path / "data/mine"
    on_disk.prepare(out)
    names = ["categories.csv", "images.csv", "index", "train.json", "val.json"]
    assert sorted(path.name for path in out.iterdir()) == names
    truth = read_truth(out / "val.json", "segm")
    assert [c["name"] for c in truth.categories] == ["قطة", "naïve ☃", "狗"]
    assert [c["id"] for c in read_categories(out / "categories.csv")] == [2, 11, 70]
    assert len((out / "images.csv").read_text().splitlines()) == 5


def test_prepare_refuses_before_it_writes(on_disk, tmp_path):
    (tmp_path / "ninety.png").unlink()
    with pytest.raises(ValueError, match="1 of 2 images are bad"):
        on_disk.prepare(tmp_path / "data/mine")
    assert not (tmp_path / "data/mine").exists()


def test_its_inputs_are_the_annotation_files_that_are_there(on_disk, tmp_path):
    train, val = tmp_path / "train.json", tmp_path / "val.json"
    assert on_disk.files() == {"data.train.annotations": train, "data.val.annotations": val}
    val.unlink()
    assert on_disk.files() == {"data.train.annotations": train}
    with pytest.raises(
        ValueError, match=r"val\.json does not exist; correct data\.val\.annotations"
    ):
        on_disk.prepare(tmp_path / "out")


def test_a_folder_of_annotations_that_is_none_is_named(on_disk, tmp_path):
    away = replace(on_disk, annotations=str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match=r"data\.annotations is '.*nowhere', which is no folder"):
        away.prepare(tmp_path / "out")


def test_annotations_may_lie_in_the_home(on_disk, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    home = replace(on_disk, annotations="~")
    assert home.files() == on_disk.files()
    home.prepare(tmp_path / "data/mine")
    assert (tmp_path / "data/mine/val.json").is_file()


def test_prepare_of_an_empty_split(on_disk, tmp_path, coco):
    coco["annotations"] = []
    (tmp_path / "train.json").write_text(json.dumps(coco))
    with pytest.raises(ValueError, match=r"train\.json has no usable annotation"):
        on_disk.prepare(tmp_path / "out")


def test_prepare_keeps_a_real_lvis_file_as_it_is(shared, tmp_path, capsys):
    folder = shared / "data/lvis_v0.5_sample"
    split = Split(annotations="lvis_val_66_with_images.json", images=str(folder / "val2017"))
    data = Data(name="lvis", source="files", annotations=str(folder), train=split, val=split)
    data.prepare(tmp_path)
    before = json.loads((folder / split.annotations).read_text())
    after = json.loads((tmp_path / "val.json").read_text())
    assert len(after["annotations"]) == len(before["annotations"]) == 676
    for old, new in zip(before["annotations"], after["annotations"], strict=True):
        assert old.items() <= new.items()
    for old, new in zip(before["images"], after["images"], strict=True):
        assert new["file_name"] == old["file_name"].rpartition("_")[2]
        assert new["neg_category_ids"] == old["neg_category_ids"]
    frequencies = {c["id"]: c["frequency"] for c in before["categories"]}
    assert {c["id"]: c["frequency"] for c in after["categories"]} == frequencies
    assert capsys.readouterr().out.startswith("train: ")


def test_prepare_of_coco_lt_mini_agrees_with_its_own_counts(shared, tmp_path):
    folder = shared / "data/coco_lt_mini"
    splits = {
        name: Split(annotations=f"coco_lt_mini_{name}.json", images=str(folder / name))
        for name in ("train", "val")
    }
    data = Data(name="mini", source="files", annotations=str(folder / "annotations"), **splits)
    data.prepare(tmp_path)
    own = json.loads((folder / "annotations/coco_lt_mini_train.json").read_text())["categories"]
    found = {c["id"]: c for c in read_categories(tmp_path / "categories.csv")}
    for category in own:
        row = found[category["id"]]
        assert row["frequency"] == category["frequency"] == frequency(row["image_count"])
        assert row["image_count"] == category["image_count"]


def save(path, width=40, height=30, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(path, **options)


def described(name, width=40, height=30):
    return {"id": 1, "file_name": name, "width": width, "height": height}


@pytest.mark.parametrize("verify", ["header", "decode"])
def test_manifest_of_good_images(tmp_path, verify, capsys):
    save(tmp_path / "☃, 1.png")
    rows = verify_images([described("☃, 1.png")], tmp_path, "val", verify)
    write_manifest(tmp_path / "images.csv", rows)
    size = (tmp_path / "☃, 1.png").stat().st_size
    text = (tmp_path / "images.csv").read_text(encoding="utf-8")
    assert text == f'split,file_name,bytes,width,height\nval,"☃, 1.png",{size},40,30\n'
    assert "1/1" in capsys.readouterr().err


def test_size_is_the_one_after_the_exif_rotation(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    save(tmp_path / "phone.jpg", exif=exif)
    (row,) = verify_images([described("phone.jpg", 30, 40)], tmp_path, "train", "header")
    assert (row["width"], row["height"]) == (30, 40)


def test_training_sees_no_object_thinner_than_a_pixel(tmp_path, coco, capsys):
    """As in mmdet's data sets, and so do the counts; evaluation has them all, as LVIS's own."""
    coco["annotations"][1]["bbox"] = [20, 2, 0.9, 5]
    image = coco["images"][1]
    Image.new("RGB", (image["width"], image["height"])).save(tmp_path / image["file_name"])
    Image.new("RGB", (40, 30)).save(tmp_path / "five.png")
    (tmp_path / "all.json").write_text(json.dumps(coco))
    split = Split(annotations="all.json", images=str(tmp_path))
    data = Data(name="own", source="files", annotations=str(tmp_path), train=split, val=split)
    data.prepare(tmp_path / "out")
    index = Index(tmp_path / "out/index/train")
    assert [len(index.image(position)["labels"]) for position in range(2)] == [1, 1]
    rows = read_categories(tmp_path / "out/categories.csv")
    counts = {row["id"]: row["instance_count"] for row in rows}
    assert counts == {2: 1, 11: 0, 70: 1}
    assert "train: 1 of 3 boxes are thinner than a pixel" in capsys.readouterr().out
    for split, objects in (("train", 2), ("val", 3)):
        document = json.loads((tmp_path / f"out/{split}.json").read_text())
        assert len(document["annotations"]) == objects
