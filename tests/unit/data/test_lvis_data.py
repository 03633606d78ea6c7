"""Whole `prepare` of LVIS, found or downloaded from a real server; small test catalogues."""

import hashlib
import io
import json
import subprocess
import sys
import zipfile
from dataclasses import replace

import file_server
import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

from pipeline import params
from pipeline.data import remote
from pipeline.data.categories import read_categories
from pipeline.data.coco_folder import IMAGE_FOLDERS
from pipeline.data.sources.lvis import RELEASES, Archive, Data, Release
from pipeline.evaluation.truth import read_truth
from stages.prepare import prepare

ANNOTATIONS = ("train_annotations", "val_annotations")
HOME = "http://images.cocodataset.org"
TRAIN = (9, 25, 30)
NUMBERS = {"train2017": TRAIN, "val2017": (139, 285)}
ANNOTATED = {
    "v1": {"train": TRAIN, "val": (139, 285, 30)},  # v1's val has images of train2017
    "v0.5": {"train": TRAIN, "val": (139, 285)},
}


def home_of(number):
    return next(folder for folder, numbers in NUMBERS.items() if number in numbers)


def described(version, number):
    image = {
        "id": number, "width": 40, "height": 30, "neg_category_ids": [2],
        "not_exhaustive_category_ids": [], "coco_url": f"{HOME}/{home_of(number)}/{number:012}.jpg",
    }  # fmt: skip
    if version == "v0.5":
        year = "val2014" if number % 2 else "train2014"
        image["file_name"] = f"COCO_{year}_{number:012}.jpg"
    return image


def annotations(version, split):
    """The bytes of an annotation file as LVIS has it."""
    images = [described(version, number) for number in ANNOTATED[version][split]]
    boxes = [
        {"id": i, "image_id": image["id"], "category_id": 1, "bbox": [1.5, 2.0, 10.0, 10.0],
         "area": 50.0, "segmentation": [[1.5, 2.0, 11.5, 2.0, 11.5, 12.0]]}
        for i, image in enumerate(images, 1)
    ]  # fmt: skip
    categories = [
        {"id": i, "name": name, "frequency": "r", "synset": f"{name}.n.01"}
        for i, name in enumerate(("acorn", "alpaca"), 1)
    ]
    document = {"images": images, "annotations": boxes, "categories": categories}
    return json.dumps(document).encode()


def photo(number):
    pixels = np.random.default_rng(number).integers(0, 256, (30, 40, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG")
    return out.getvalue()


def zipped(members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def contents(version):
    """key -> (place below the root, bytes of the archive), as in the catalogue."""
    files = {
        f"{split}_annotations": (
            f"annotations/lvis_{version}_{split}.json",
            zipped({f"lvis_{version}_{split}.json": annotations(version, split)}),
        )
        for split in ("train", "val")
    }
    for folder, key in (("train2017", "train_images"), ("val2017", "val_images")):
        photos = {f"{folder}/{n:012}.jpg": photo(n) for n in NUMBERS[folder]}
        files[key] = (folder, zipped({f"{folder}/": b"", **photos}))
    return files


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(remote, "FIRST_WAIT", 0.01)
    with file_server.running() as running:
        yield running


@pytest.fixture(params=["v0.5", "v1"])
def version(request):
    return request.param


@pytest.fixture
def releases(server, version):
    archives = {}
    for key, (place, content) in contents(version).items():
        url = server.put(f"{key}.zip", content)
        digest = hashlib.sha256(content).hexdigest()
        archives[key] = Archive(url, place, 4000, len(content), digest)
    return {version: Release(categories=2, archives=archives, images={"train": 5})}


@pytest.fixture
def data(tmp_path, version):
    return lvis(version=version, root=str(tmp_path / "coco"))


def lvis(**more):
    return Data(name="lvis", source="lvis", **more)


def unpacked(root, version):
    """Everything on the disk already, as COCO users have it."""
    for place, content in contents(version).values():
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            archive.extractall(root / ("annotations" if place.endswith("json") else "."))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def file_names(out, split):
    return [
        image["file_name"] for image in json.loads((out / f"{split}.json").read_text())["images"]
    ]


def test_everything_is_downloaded_checked_and_prepared(data, releases, tmp_path, version, capsys):
    out, root = tmp_path / "out", tmp_path / "coco"
    documents = data.prepare(out, releases)
    assert names(root) == ["annotations", "downloads", "train2017", "val2017"]
    notes = [f"lvis_{version}_{split}.json.note" for split in ("train", "val")]
    assert names(root / "downloads") == ["lock", *notes]
    assert (root / "train2017/000000000025.jpg").read_bytes() == photo(25)
    assert names(out) == ["categories.csv", "images.csv", "index", "train.json", "val.json"]
    expected = [f"{home_of(n)}/{n:012}.jpg" for n in ANNOTATED[version]["val"]]
    assert file_names(out, "val") == expected
    counts = [
        (row["frequency"], row["image_count"]) for row in read_categories(out / "categories.csv")
    ]
    assert counts == [("r", 3), ("r", 0)]
    truth = read_truth(out / "val.json", "segm")
    assert truth.segmentation[0] == [[1.5, 2.0, 11.5, 2.0, 11.5, 12.0]]
    assert documents["val"]["images"][0]["neg_category_ids"] == [2]
    assert "train: 3 images; the original LVIS" in capsys.readouterr().out


def test_what_is_there_is_not_asked_for(data, releases, server, tmp_path, version):
    root = tmp_path / "coco"
    unpacked(root, version)
    root.chmod(0o555)
    data.prepare(tmp_path / "out", releases)
    replace(data, download=False, verify="decode").prepare(tmp_path / "out", releases)
    assert server.asked == []
    assert names(root) == ["annotations", "train2017", "val2017"]


def test_links_are_followed(data, releases, server, tmp_path, version):
    unpacked(tmp_path / "elsewhere", version)
    (tmp_path / "coco").mkdir()
    for name in ("annotations", "train2017", "val2017"):
        (tmp_path / "coco" / name).symlink_to(tmp_path / "elsewhere" / name)
    data.prepare(tmp_path / "out", releases)
    assert server.asked == []
    (tmp_path / "coco/val2017").unlink()
    (tmp_path / "coco/val2017").symlink_to("nowhere")
    with pytest.raises(ValueError, match="val2017 is a link to nowhere, which does not exist"):
        data.prepare(tmp_path / "out", releases)


@pytest.mark.parametrize("version", ["v0.5"], indirect=True)
def test_file_names_without_coco_url(data, releases, tmp_path, version):
    unpacked(tmp_path / "coco", version)
    path = tmp_path / "coco/annotations/lvis_v0.5_val.json"
    document = json.loads(path.read_text())
    for image in document["images"]:
        del image["coco_url"]
    path.write_text(json.dumps(document))
    data.prepare(tmp_path / "out", releases)
    assert file_names(tmp_path / "out", "val") == [
        "val2017/000000000139.jpg",
        "val2017/000000000285.jpg",
    ]


def test_a_missing_image_is_named_and_nothing_downloaded(data, releases, server, tmp_path, version):
    unpacked(tmp_path / "coco", version)
    (tmp_path / "coco/train2017/000000000025.jpg").unlink()
    with pytest.raises(
        ValueError, match=r"train: 1 of 3 images are not in .*000000000025\.jpg; add"
    ):
        data.prepare(tmp_path / "out", releases)
    assert server.asked == [] and not (tmp_path / "out").exists()


def test_a_mirror_is_used_and_must_serve_the_original(data, releases, server, tmp_path):
    content = server.files["/val_images.zip"]
    mirror = server.put("mirror/coco/val.zip", content[:-1] + b"?")
    data = replace(data, urls={"val_images": mirror})
    with pytest.raises(
        ValueError, match=r"mirror/coco/val\.zip has the sha256 .*data\.urls\.val_images"
    ):
        data.prepare(tmp_path / "out", releases)
    server.put("mirror/coco/val.zip", content)
    data.prepare(tmp_path / "out", releases)
    assert "/val_images.zip" not in {path for path, _ in server.asked}


def test_404_names_the_remedy(data, releases, server, tmp_path):
    del server.files["/train_images.zip"]
    with pytest.raises(
        ValueError, match=r"train_images\.zip: the server answers 404.*data\.urls\.train_images"
    ):
        data.prepare(tmp_path / "out", releases)


def test_without_download_the_missing_place_is_named(data, releases, server, tmp_path):
    with pytest.raises(
        ValueError, match=r"_train\.json does not exist, and data\.download is false"
    ):
        replace(data, download=False).prepare(tmp_path / "out", releases)
    assert server.asked == [] and not (tmp_path / "coco").exists()


def test_annotations_of_the_other_version_are_refused(data, releases, tmp_path, version):
    releases = {version: replace(releases[version], categories=1203)}
    with pytest.raises(ValueError, match=r"have 2 categories; LVIS .* has 1203"):
        data.prepare(tmp_path / "out", releases)


def test_the_annotations_that_somebody_put_there_are_inputs(data, tmp_path, version):
    assert data.files() == {}
    unpacked(tmp_path / "coco", version)
    places = [f"annotations/lvis_{version}_{split}.json" for split in ("train", "val")]
    assert data.files() == {f"data.root/{place}": tmp_path / "coco" / place for place in places}


def test_downloaded_annotations_are_inputs_once_somebody_changes_them(
    data, releases, tmp_path, version
):
    data.prepare(tmp_path / "out", releases)
    assert data.files() == {}, "prepare would run again for what it made itself"
    changed = tmp_path / f"coco/annotations/lvis_{version}_val.json"
    changed.write_bytes(changed.read_bytes() + b"\n")
    assert list(data.files().values()) == [changed]


CHILD = """
import pickle, sys
data, releases, out = pickle.loads(bytes.fromhex(sys.argv[1]))
data.prepare(out, releases)
"""


def test_two_at_once_download_once(data, releases, server, tmp_path):
    import pickle

    def start(name):
        arguments = pickle.dumps((data, releases, tmp_path / name)).hex()
        return subprocess.Popen([sys.executable, "-c", CHILD, arguments])

    processes = [start("one"), start("two")]
    assert [process.wait(60) for process in processes] == [0, 0]
    assert (tmp_path / "one/train.json").read_bytes() == (tmp_path / "two/train.json").read_bytes()
    asked = [path for path, span in server.asked if span != "bytes=0-0"]
    assert len(asked) == len(set(asked)) == 4


@pytest.fixture
def raw(root):
    raw = YAML(typ="safe", pure=True).load((root / "params.yaml").read_text(encoding="utf-8"))
    raw["data"] = {"name": "lvis", "source": "lvis", "version": "v1", "root": "~/coco"}
    return raw


def test_the_stage_prepares_the_real_sample(shared, raw, tmp_path, monkeypatch):
    sample, root = shared / "data/lvis_v0.5_sample", tmp_path / "root"
    (root / "annotations").mkdir(parents=True)
    (root / "val2017").symlink_to(sample / "val2017")
    for split in ("train", "val"):
        link = root / f"annotations/lvis_v0.5_{split}.json"
        link.symlink_to(sample / "lvis_val_66_with_images.json")
    raw["data"] |= {"version": "v0.5", "root": "root", "download": False, "verify": "decode"}
    with open(tmp_path / "params.yaml", "w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(raw, file)
    monkeypatch.chdir(tmp_path)
    prepare()
    assert {name.split("/")[0] for name in file_names(tmp_path / "data/lvis", "val")} == {"val2017"}
    before = json.loads((sample / "lvis_val_66_with_images.json").read_text())["annotations"]
    after = json.loads((tmp_path / "data/lvis/val.json").read_text())["annotations"]
    assert len(after) == 676
    assert [a["segmentation"] for a in after] == [a["segmentation"] for a in before]
    assert "1,230 categories" in (tmp_path / "reports/data/lvis.html").read_text()


def test_the_catalogue_is_complete():
    for name, categories in (("v0.5", 1230), ("v1", 1203)):
        release = RELEASES[name]
        assert set(release.archives) == {*IMAGE_FOLDERS.values(), *ANNOTATIONS}
        assert release.categories == categories
        for archive in release.archives.values():
            assert len(archive.sha256 or "0" * 64) == 64
            assert archive.unpacked > (archive.size or 0)


def test_params_of_lvis(raw, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    data = params.parse(params.Params, raw, "").data
    assert data.images("val") == data.images("train") == params.Path("/home/me/coco")
    assert (data.urls, data.download, data.connections) == ({}, True, 4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": "v2"}, "data.version is 'v2'; allowed: v0.5, v1"),
        ({"urls": {"images": "http://x"}}, "unknown key 'images' in data.urls; allowed: train_"),
        ({"urls": {"val_images": "x"}}, "data.urls.val_images is 'x'; it takes an http"),
        ({"urls": "http://x"}, "data.urls is 'http://x'; it takes a mapping"),
        ({"connections": 0}, "data.connections is 0; allowed: 1 to"),
        ({"root": "data/lvis/coco"}, "DVC empties data/lvis before it runs"),
        ({"root": "data/x/../lvis"}, "DVC empties data/lvis before it runs"),
        ({"downlaod": False}, "did you mean 'download'"),
    ],
)
def test_wrong_params_of_lvis(raw, change, words):
    raw["data"] |= change
    with pytest.raises(ValueError, match=words.replace("(", r"\(")):
        params.parse(params.Params, raw, "")


def test_a_relative_root_belongs_to_the_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert lvis(version="v1", root="../coco").images("val") == params.Path("../coco")
    monkeypatch.setenv("DVC_ROOT", "/projects/mine")  # the stage runs in a copy of the project
    assert lvis(version="v1", root="../coco").images("val") == params.Path("/projects/mine/../coco")
    assert lvis(version="v1", root="/data/coco").images("val") == params.Path("/data/coco")
