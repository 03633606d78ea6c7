"""Every annotated image is found under its real name, and a bad one is named."""

import pytest
from PIL import Image

from pipeline.data.images import resolve_file_names, verify_images


@pytest.fixture
def folder(tmp_path):
    for name in ("000000000001.jpg", "train2017/000000000002.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (40, 30), "red").save(tmp_path / name)
    return tmp_path


def image(**fields):
    return {"id": 1, "width": 40, "height": 30, **fields}


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"file_name": "000000000001.jpg"}, "000000000001.jpg"),
        ({"file_name": "COCO_val2014_000000000001.jpg"}, "000000000001.jpg"),
        ({"file_name": "val2017/000000000001.jpg"}, "000000000001.jpg"),
        ({"coco_url": "http://x.org/train2017/000000000002.jpg"}, "train2017/000000000002.jpg"),
        ({"coco_url": "http://x.org/val2017/000000000001.jpg"}, "000000000001.jpg"),
    ],
)
def test_file_names_of_coco_and_both_lvis_versions(folder, fields, found):
    images = [image(**fields)]
    resolve_file_names(images, folder, "val")
    assert images[0]["file_name"] == found


def test_a_missing_folder_is_an_error(folder):
    with pytest.raises(ValueError, match="does not exist"):
        resolve_file_names([image(file_name="a.jpg")], folder / "none", "val")


def test_sound_images_become_rows_of_the_manifest(folder):
    rows = verify_images([image(file_name="000000000001.jpg")], folder, "val", "decode")
    size = (folder / "000000000001.jpg").stat().st_size
    assert rows == [
        {"split": "val", "file_name": "000000000001.jpg", "bytes": size, "width": 40, "height": 30}
    ]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path: path.unlink(), "does not exist"),
        (lambda path: path.write_text("no picture"), "is not a readable image"),
        (lambda path: Image.new("RGB", (30, 40)).save(path), "is 30x40, but its annotation says"),
    ],
)
def test_a_bad_image_is_named_and_counted(folder, spoil, words):
    spoil(folder / "000000000001.jpg")
    images = [
        image(file_name="000000000001.jpg"), image(id=2, file_name="train2017/000000000002.jpg")
    ]  # fmt: skip
    with pytest.raises(ValueError, match=r"val: 1 of 2 .*000000000001\.jpg") as caught:
        verify_images(images, folder, "val", "header")
    assert words in str(caught.value)


def test_decode_finds_a_truncated_image_that_its_header_hides(folder):
    path = folder / "000000000003.jpg"
    Image.effect_noise((40, 30), 80).convert("RGB").save(path)
    path.write_bytes(path.read_bytes()[:-100])
    images = [image(id=n, file_name=f"00000000000{n}.jpg") for n in (1, 3)]
    verify_images(images, folder, "val", "header")
    with pytest.raises(ValueError, match="is not a readable image"):
        verify_images(images, folder, "val", "decode")
