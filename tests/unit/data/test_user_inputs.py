"""Inputs as users have them: `prepare` reads, computes or refuses them, and training sees the same.

Every case changes a small COCO-format data set on disk. A refusal is one line that names what is
wrong and leaves nothing; what is accepted is compared with what training reads.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from pipeline import params
from pipeline.data.annotation_file import read_annotation_file
from pipeline.data.categories import read_categories
from pipeline.data.index import Index
from pipeline.data.rle import decoded
from pipeline.data.sources.files import Data, Split
from pipeline.detection.dataset import LoadImage, LongTailDataset
from stages.prepare import prepare

WIDTH, HEIGHT = 64, 48
OBJECTS = {"train": 18, "val": 12}


def base():
    """Every image has a cup, a lamp and a shoe, with polygons."""
    rng, documents = np.random.default_rng(0), {}
    for split, objects in OBJECTS.items():
        images = [
            {"id": n, "file_name": f"{split}_{n}.jpg", "width": WIDTH, "height": HEIGHT}
            for n in range(1, objects // 3 + 1)
        ]
        annotations = []
        for number in range(objects):
            x, y, w, h = (int(v) for v in rng.integers([10, 10, 8, 8], [40, 25, 20, 20]))
            annotations.append(
                {
                    "id": number + 1, "image_id": number // 3 + 1, "category_id": number % 3 + 1,
                    "bbox": [x, y, w, h], "area": w * h, "iscrowd": 0,
                    "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]],
                }
            )  # fmt: skip
        categories = [{"id": k, "name": n} for k, n in enumerate(("cup", "lamp", "shoe"), 1)]
        documents[split] = dict(images=images, annotations=annotations, categories=categories)
    return documents


class Case:
    """A data set in ``root``, changed by ``documents`` and ``save`` before it is prepared."""

    def __init__(self, root: Path):
        self.root, self.documents, self.text = root, base(), {}
        for split, document in self.documents.items():
            for image in document["images"]:
                self.save(split, image["file_name"], seed=image["id"])

    @property
    def both(self):
        return self.documents.values()

    def annotations(self, split=None):
        splits = [split] if split else list(self.documents)
        return [a for s in splits for a in self.documents[s]["annotations"]]

    def save(self, split, name, width=WIDTH, height=HEIGHT, seed=0, **options):
        path = self.root / split / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
        Image.fromarray(pixels).save(path, **options)

    def prepare(self):
        for split, document in self.documents.items():
            text = self.text.get(split) or json.dumps(document)
            (self.root / f"{split}.json").write_text(text, encoding="utf-8")
        prepare()

    def index(self, split="train"):
        index = Index(self.root / f"data/own/index/{split}")
        return [index.image(position) for position in range(len(index))]

    def objects(self, split="train"):
        """What training sees: the mask of each object, [HEIGHT, WIDTH]."""
        return [whole(*mask) for image in self.index(split) for mask in image["masks"]]

    def written(self, split):
        fields = {"images": ("id",), "annotations": ("id",), "categories": ("id",)}
        fields["annotations"] += ("image_id", "category_id")
        return read_annotation_file(self.root / f"data/own/{split}.json", fields, {})


def whole(box, runs):
    x0, y0, x1, y1 = box
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[y0:y1, x0:x1] = decoded(runs, y1 - y0, x1 - x0)
    return mask


def drawn(polygons):
    return coco.decode(coco.frPyObjects(polygons, HEIGHT, WIDTH))[..., 0]


@pytest.fixture
def case(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = {s: Split(annotations=f"{s}.json", images=s) for s in OBJECTS}
    data = Data(name="own", source="files", annotations=".", **files)
    monkeypatch.setattr(params, "load", lambda: type("Settings", (), {"data": data}))
    return Case(tmp_path)


def check_refused(case, *words):
    with pytest.raises(ValueError, match=r"^[^\n]+$") as caught:
        case.prepare()
    text = str(caught.value)
    assert len(text) < 600
    for word in words:
        assert word in text, text
    left = [p for folder in ("data", "reports") for p in case.root.glob(f"{folder}/**/*.*")]
    assert left == []


def check_seen(case, capsys, *lines, train=18, val=12):
    """Training, counts and evaluation have so many objects, and the lines were printed."""
    case.prepare()
    printed = capsys.readouterr().out
    for line in lines:
        assert line in printed
    for split, count in (("train", train), ("val", val)):
        assert len(case.objects(split)) == len(case.written(split)["annotations"]) == count
    rows = read_categories(case.root / "data/own/categories.csv")
    assert sum(row["instance_count"] for row in rows) == train
    dataset = LongTailDataset(
        ann_file="data/own/index/train", data_prefix=dict(img="train"), pipeline=[LoadImage()]
    )
    for position in range(len(dataset)):
        item = dataset[position]
        assert item["img"].shape == (HEIGHT, WIDTH, 3)
        for x0, y0, x1, y1 in item["boxes"]:
            assert 0 <= x0 < x1 <= WIDTH and 0 <= y0 < y1 <= HEIGHT


@pytest.mark.parametrize("area", [0, -5, float("nan"), float("inf"), 1e9, 10**400])
def test_an_area_that_can_be_none_is_computed(case, capsys, area):
    for annotation in case.annotations("train"):
        annotation.update(area=area, segmentation=[])
    check_seen(case, capsys, "train: 18 of 18 areas are not positive or larger than their image")
    box = case.annotations("train")[0]["bbox"]
    assert case.written("train")["annotations"][0]["area"] == box[2] * box[3]


def test_an_area_of_null_is_a_missing_one(case, capsys):
    for annotation in case.annotations():
        annotation.update(area=None, segmentation=None)
    check_seen(case, capsys, "train: 18 of 18 annotations have no mask: the box stands in")


@pytest.mark.parametrize("area", ["12", [12], True, {}])
def test_an_area_of_another_type_is_refused(case, area):
    case.annotations("val")[4]["area"] = area
    check_refused(case, "val.json", "annotation 5 has the area", "it must be a number")


def test_relative_boxes_are_refused(case):
    for annotation in case.annotations("val"):
        x, y, w, h = annotation["bbox"]
        annotation["bbox"] = [x / WIDTH, y / HEIGHT, w / WIDTH, h / HEIGHT]
    check_refused(case, "val.json: 12 of 12 boxes", "relative to the image", "multiply")


def test_corners_are_refused(case):
    for annotation in case.annotations():
        x, y, w, h = annotation["bbox"]
        annotation["bbox"] = [x, y, x + w, y + h]
    check_refused(case, "train.json", "reach out of their image", "[x1, y1, x2, y2]")


def test_boxes_of_large_objects_that_reach_out_are_no_corners(case, capsys):
    for annotation in case.annotations():
        annotation["bbox"] = [-3, -2, WIDTH + 5, HEIGHT + 4]
    check_seen(case, capsys, "train: 18 of 18 boxes reach out of their image: clipped")


@pytest.mark.parametrize("flag", ["ignore", "iscrowd"])
@pytest.mark.parametrize("value", [1, True, 1.0])
def test_flags_mean_the_same_everywhere(case, capsys, flag, value):
    for annotation in case.annotations():
        if annotation["category_id"] == 3:
            annotation[flag] = value
    check_seen(case, capsys, "train: 6 of 18 annotations", "left out", train=12, val=8)
    for image in case.written("val")["images"]:
        assert image["not_exhaustive_category_ids"] == [3]
        assert 3 not in image["neg_category_ids"]


@pytest.mark.parametrize("value", ["0", 2, -1, [], {}])
def test_another_flag_is_refused(case, value):
    case.annotations("train")[1]["iscrowd"] = value
    check_refused(case, "train.json", "annotation 2 has the iscrowd", "it must be 0 or 1")


def test_crowds_everywhere_name_the_way_out(case):
    for annotation in case.annotations("train"):
        annotation["iscrowd"] = 1
    check_refused(case, "train.json has no usable annotation", "18 of 18", "set iscrowd to 0")


def test_a_split_without_objects_is_refused(case):
    case.documents["val"]["annotations"] = []
    check_refused(case, "val.json has no usable annotation")


@pytest.mark.parametrize("prefix", ["", "./", "sub/../"])
def test_two_records_of_one_file_are_refused(case, prefix):
    (case.root / "train/sub").mkdir()
    first, second = case.documents["train"]["images"][:2]
    second["file_name"] = prefix + first["file_name"]
    check_refused(case, "the images 1 and 2 have one file", "train_1.jpg")


@pytest.mark.parametrize("suffix", [".webp", ".avif", ".jpg", ".png", ".tif"])
def test_a_turned_photo_has_one_size(case, capsys, suffix):
    exif = Image.Exif()
    exif[0x0112] = 6
    for image in case.documents["train"]["images"]:
        image["file_name"] = f"turned{image['id']}{suffix}"
        case.save("train", image["file_name"], HEIGHT, WIDTH, image["id"], exif=exif.tobytes())
    check_seen(case, capsys)


def test_a_size_before_the_rotation_is_explained(case):
    exif = Image.Exif()
    exif[0x0112] = 6
    case.save("val", "val_1.jpg", exif=exif.tobytes())
    check_refused(case, "val_1.jpg is 48x64, but its annotation says 64x48", "EXIF rotation")


def test_dark_sixteen_bits_are_said(case, capsys):
    for image in case.documents["train"]["images"]:
        image["file_name"] = f"{image['id']}.png"
        values = np.random.default_rng(0).integers(0, 4096, (HEIGHT, WIDTH), np.uint16)
        Image.fromarray(values).save(case.root / "train" / image["file_name"])
    check_seen(case, capsys, "train: 6 of 6 images have 16 bits a channel and are nearly black")


@pytest.mark.parametrize("verify", ["header", "decode"])
def test_what_training_cannot_read_is_refused(case, monkeypatch, verify):
    data = params.load().data
    object.__setattr__(data, "verify", verify)
    for image in case.documents["train"]["images"]:
        image["file_name"] = f"{image['id']}.tif"
        pixels = np.full((HEIGHT, WIDTH), 0.5, np.float32)
        Image.fromarray(pixels).save(case.root / "train" / image["file_name"])
    check_refused(case, "1.tif is a TIFF image of the mode F", "save it as")


def test_flat_polygons_are_masks(case, capsys):
    for annotation in case.annotations():
        x, y, w, h = annotation["bbox"]
        annotation["segmentation"] = [x, y, x + w, y, x, y + h]
    check_seen(case, capsys, "train: 18 of 18 masks are a flat list of numbers")
    x, y, w, h = case.annotations("train")[0]["bbox"]
    assert (case.objects()[0] == drawn([[x, y, x + w, y, x, y + h]])).all()


RLE = {"size": [HEIGHT, WIDTH], "counts": [100, 25, HEIGHT * WIDTH - 125]}


@pytest.mark.parametrize(
    ("segmentation", "words"),
    [
        ({**RLE, "size": [WIDTH, HEIGHT]}, ["[64, 48]", "[48, 64]"]),
        ({**RLE, "counts": [100, 25]}, ["do not fill"]),
        ({**RLE, "counts": "5 6"}, ["damaged"]),
        ({**RLE, "counts": None}, ["neither"]),
        ([[1, 2, float("nan"), 4, 5, 6]], ["nan", "finite"]),
        ([[1, 2, None, 4, 5, 6]], ["None", "finite"]),
        ([[1, 2, 3, 4, 5, 6, 7]], ["[1, 2, 3, 4, 5, 6"]),
        ([[[1, 2], [3, 4], [5, 6]]], ["[[1, 2]"]),
        ([["1", "2", "3", "4", "5", "6"]], ["'1'"]),
        ([{"x": 1}], ["{'x': 1}"]),
        ("polygon", ["'polygon'"]),
        (5, ["is 5"]),
        ([[1, 2, 10**400, 4, 5, 6]], ["finite"]),
        ([[1, 2, 1e9, 4, 5, 6]], ["pixels"]),
    ],
)
def test_a_broken_mask_is_refused_by_its_annotation(case, segmentation, words):
    case.annotations("val")[6]["segmentation"] = segmentation
    del case.annotations("val")[6]["area"]
    check_refused(case, "val.json: the segmentation of annotation 7", *words)


def test_an_empty_mask_gives_way_to_its_box(case, capsys):
    empty = {**RLE, "counts": [HEIGHT * WIDTH]}
    case.annotations("train")[0].update(segmentation=empty, area=4)
    check_seen(case, capsys, "train: 1 of 18 masks are empty: the box stands in")
    x, y, w, h = case.annotations("train")[0]["bbox"]
    assert (case.objects()[0] == drawn([[x, y, x + w, y, x + w, y + h, x, y + h]])).all()


def test_names_with_backslashes_spaces_and_accents_are_found(case, capsys):
    images = case.documents["train"]["images"]
    for image, name in zip(images, ["a b.jpg", "e\u0301.jpg", "c.jpg"], strict=False):
        case.save("train", name)
        image["file_name"] = name
    images[0]["file_name"] = "a%20b.jpg"
    images[1]["file_name"] = "images\\\u00e9.jpg"
    images[2]["file_name"] = "D:\\photos\\c.jpg"
    check_seen(case, capsys, "train: 3 of 6 images are not where their file_name")
    assert [i["file_name"] for i in case.index()[:3]] == ["a b.jpg", "e\u0301.jpg", "c.jpg"]


@pytest.mark.parametrize("place", ["inside", "outside"])
def test_absolute_names_are_read_where_they_are(case, capsys, tmp_path_factory, place):
    other = tmp_path_factory.mktemp("elsewhere")
    for image in case.documents["train"]["images"]:
        path = case.root / "train" / image["file_name"]
        if place == "outside":
            path = path.rename(other / path.name)
        image["file_name"] = str(path)
    check_seen(case, capsys)
    absolute = [Path(image["file_name"]).is_absolute() for image in case.index()]
    assert set(absolute) == {place == "outside"}


@pytest.mark.parametrize("name", ["", None])
def test_an_image_without_a_file_name_is_refused(case, name):
    case.documents["val"]["images"][1]["file_name"] = name
    check_refused(case, "val.json: image 2 has neither file_name nor coco_url")


@pytest.mark.parametrize("name", [5, ["a.jpg"], {}, True, "a\0.jpg", "half \ud83d.jpg"])
def test_a_file_name_that_is_none_is_refused(case, name):
    case.documents["train"]["images"][3]["file_name"] = name
    check_refused(case, "train.json", "image 4 has the file_name", "it must be a text")


def test_a_folder_in_place_of_an_image_is_refused(case):
    (case.root / "val/val_2.jpg").unlink()
    (case.root / "val/val_2.jpg").mkdir()
    check_refused(case, "val_2.jpg is no file")


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [
        ("images", "id", 2**63),
        ("images", "id", "1"),
        ("images", "id", 1.0),
        ("annotations", "id", None),
        ("annotations", "image_id", True),
        ("annotations", "category_id", 10**400),
        ("annotations", "bbox", [1, 2, 3]),
        ("annotations", "bbox", [1, 2, 3, "4"]),
        ("annotations", "bbox", [1, 2, 3, float("inf")]),
        ("annotations", "bbox", [1, 2, 3, 10**400]),
        ("annotations", "bbox", [1, 2, 3, 1e9]),
        ("annotations", "bbox", 10**4000),
        ("images", "width", 2**31 - 1),
        ("annotations", "bbox", None),
        ("images", "width", 64.0),
        ("images", "height", 0),
        ("images", "neg_category_ids", [[1]]),
        ("images", "not_exhaustive_category_ids", ["2"]),
        ("images", "neg_category_ids", "12"),
        ("categories", "name", "cup \ud83d"),
        ("categories", "name", "cup\n"),
        ("categories", "name", 7),
        ("categories", "name", " "),
    ],
)
def test_a_field_that_cannot_be_is_refused(case, section, field, value):
    for document in case.both:
        for image in document["images"]:
            image.update(neg_category_ids=[], not_exhaustive_category_ids=[])
        document[section][0][field] = value
    check_refused(case, "train.json", f"the {field} ", "it must be")


def test_ids_that_no_category_has_are_left_out_aloud(case, capsys):
    for document in case.both:
        for image in document["images"]:
            image.update(neg_category_ids=[99], not_exhaustive_category_ids=[])
    check_seen(case, capsys, "train: 6 of 6 images name categories in neg_category_ids that")
    assert case.written("val")["images"][0]["neg_category_ids"] == []


@pytest.mark.parametrize("value", ["rare", None, 7, [], {}])
def test_a_frequency_that_is_none_is_computed_aloud(case, capsys, value):
    for document in case.both:
        for category in document["categories"]:
            category["frequency"] = "f"
        document["categories"][1]["frequency"] = value
    check_seen(case, capsys, "train: 1 of 3 categories have no frequency r, c or f")
    rows = read_categories(case.root / "data/own/categories.csv")
    assert [row["frequency"] for row in rows] == ["r", "r", "r"]


def test_fields_that_nothing_reads_cannot_break_anything(case, capsys):
    for document in case.both:
        for section in ("images", "annotations", "categories"):
            document[section][0]["attributes"] = {"score": float("nan"), "half": "\ud83d"}
    check_seen(case, capsys)
    assert "NaN" not in (case.root / "data/own/train.json").read_text()


@pytest.mark.parametrize("text", ["\ufeff{}", "\ufeff"])
def test_a_byte_order_mark_is_skipped(case, capsys, text):
    case.text["train"] = text.replace("{}", "") + json.dumps(case.documents["train"])
    check_seen(case, capsys)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, ["nested too deeply"]),
        ('{"images": [' + "9" * 5000, ["is not valid JSON"]),
        ("{", ["is not valid JSON (truncated?)"]),
        ("[]", ["is not a COCO or LVIS annotation file"]),
        ('{"images": [{"id": 7, "width": 5, "width": 6}]}', ["id 7", "the key 'width' twice"]),
    ],
)
def test_a_file_that_is_none_is_refused(case, text, words):
    case.text["train"] = text
    check_refused(case, "train.json", *words)


def test_a_file_in_another_encoding_is_refused(case):
    case.prepare()
    (case.root / "train.json").write_text(json.dumps(base()["train"]), encoding="utf-16")
    with pytest.raises(ValueError, match=r"train\.json is not in UTF-8"):
        prepare()


def test_a_data_page_that_fails_leaves_nothing(case, monkeypatch):
    def fail(*_):
        raise ValueError("no page")

    monkeypatch.setattr("pipeline.reporting.data_page.write_data_page", fail)
    check_refused(case, "no page")


def test_specks_make_a_data_page(case, capsys):
    for annotation in case.annotations("val"):
        annotation.update(bbox=[5, 5, 0.3, 0.4], segmentation=[], area=0.1)
    case.prepare()
    assert (case.root / "reports/data/own.html").is_file()
