"""What a served model takes and refuses, how it reads a config, and which version is the best."""

import base64
import io
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.exceptions import MlflowException
from mmengine.config import Config
from PIL import Image

from pipeline.detection.dataset import LoadImage
from pipeline.serving import package
from pipeline.serving.inputs import listed, to_bgr
from pipeline.serving.model_folder import read_config
from pipeline.tracking.models import best_version
from pipeline.tracking.trained_models import AP, VAL

SHAPE = (12, 20, 3)
RGB = np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)
KINDS = {
    "rgb.png": Image.fromarray(RGB),
    "photo.jpg": Image.fromarray(RGB),
    "turned.jpg": Image.fromarray(RGB),
    "grey.png": Image.fromarray(RGB[..., 0]),
    "deep.png": Image.fromarray(RGB[..., 0].astype(np.uint16) * 257),
    "transparent.png": Image.fromarray(np.dstack([RGB, RGB[..., 0]])),
    "palette.png": Image.fromarray(RGB).convert("P", palette=Image.Palette.ADAPTIVE),
}


def save(path):
    exif = Image.Exif()
    if path.name == "turned.jpg":
        exif[0x0112] = 6  # the camera was held upright
    KINDS[path.name].save(path, **({"exif": exif} if path.suffix == ".jpg" else {}))
    return path


@pytest.mark.parametrize("name", KINDS)
def test_a_file_its_bytes_and_their_base64_are_what_the_data_set_reads(tmp_path, name):
    path = save(tmp_path / name)
    height, width, _ = (20, 12, 3) if name == "turned.jpg" else SHAPE
    info = {"img_path": str(path), "height": height, "width": width}
    expected = LoadImage().transform(info)["img"]
    content = path.read_bytes()
    text = base64.b64encode(content)
    broken_into_lines = base64.encodebytes(content).decode()
    for form in (path, content, text, text.decode(), broken_into_lines):
        np.testing.assert_array_equal(to_bgr(form, "it"), expected)


def assert_images(found, expected):
    assert [type(image) for image in found] == [type(image) for image in expected]
    assert all(map(np.array_equal, found, expected))


def test_one_image_or_several():
    for one in (RGB, b"content", "photo.jpg", Path("photo.jpg"), RGB[..., 0]):
        assert_images(listed(one), [one])
        for several in ([one, one], (one, one), pd.Series([one, one]), {"image": [one, one]}):
            assert_images(listed(several), [one, one])
        table = pd.DataFrame({"photo": [one]})
        assert_images(listed(table), [one])
    np.testing.assert_array_equal(listed(np.stack([RGB, RGB + 1])), [RGB, RGB + 1])
    assert listed(np.array(["a.jpg", "b.jpg"])) == ["a.jpg", "b.jpg"]
    assert listed([]) == []
    assert listed(7) == [7]


@pytest.mark.parametrize(
    "table",
    [
        {},
        {"a.png": RGB, "b.png": RGB},
        {"image": {"0": RGB}},
        pd.DataFrame(),
        pd.DataFrame({"image": [b"a"], "more": 1}),
        pd.DataFrame([[b"a", b"b"]], columns=["image", "image"]),
    ],
)
def test_a_table_has_one_column_or_nobody_knows_what_was_meant(table):
    with pytest.raises(MlflowException, match="one column"):
        listed(table)


def test_an_array_is_rgb(tmp_path):
    path = save(tmp_path / "rgb.png")
    np.testing.assert_array_equal(to_bgr(RGB, "it"), to_bgr(path, "it"))
    np.testing.assert_array_equal(to_bgr(RGB, "it")[..., ::-1], RGB)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (RGB.astype(float), "float64"),
        (RGB[..., 0], r"\[12, 20\]"),
        (RGB[:0], r"\[0, 20, 3\]"),
        (b"", "0 bytes"),
        (b"\x89PNG, but not for long", "not an image"),
        (base64.b64encode(b"hello"), "not an image"),
        ("absent.jpg", "'absent.jpg' cannot be read"),
        (Path("absent.png"), "'absent.png' cannot be read"),
        (Path("/"), "cannot be read"),
        ("a\0b", "embedded null byte"),
        ("\ud800", "cannot be read"),
        (7, "is a int"),
        (None, "is a NoneType"),
        ([1, 2], "is a list"),
    ],
)
def test_what_is_no_image_is_one_line_that_names_it(bad, words):
    with pytest.raises(MlflowException, match=rf"image 2 of 3.*{words}") as error:
        to_bgr(bad, "image 2 of 3")
    assert error.value.get_http_status_code() == 400
    assert "\n" not in error.value.message


def test_a_text_names_a_file_in_python_and_never_in_a_server(tmp_path, monkeypatch):
    path = str(save(tmp_path / "rgb.png"))
    np.testing.assert_array_equal(to_bgr(path, "it"), to_bgr(Path(path), "it"))
    monkeypatch.setenv("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "true")  # as its server sets it
    for text in (path, path.encode(), f"file://{path}"):
        with pytest.raises(MlflowException):
            to_bgr(text, "it")


def test_a_config_is_read_as_mmengine_reads_it_without_running_it(tmp_path, root):
    detectors = sorted((root / "configs/detectors").glob("*.py"))
    assert detectors
    for path in detectors:
        config = Config.fromfile(path)
        config.work_dir, config.seed = "", 4
        config.dump(tmp_path / path.name)
        found = read_config(tmp_path / path.name)
        assert found == Config.fromfile(tmp_path / path.name).to_dict()
        assert found["seed"] == 4


@pytest.mark.parametrize(
    "line",
    [
        "import os",
        "model = __import__('os').getcwd()",
        "model = dict([('a', 1)])",
        "model = dict(**{'a': 1})",
        "model = [i for i in range(3)]",
        "model = print",
        "model = dict(a=",
        "a.b = 1",
    ],
)
def test_a_config_that_holds_code_is_refused(tmp_path, line):
    (tmp_path / "config.py").write_text(line)
    with pytest.raises(ValueError, match=r"config\.py is no config as the training writes it"):
        read_config(tmp_path / "config.py")


def test_the_example_is_a_small_picture():
    content = package.example_image()
    assert len(content) < 1000
    assert Image.open(io.BytesIO(content)).size == (64, 48)


def test_requirements_are_the_projects_own_pins(root):
    lines = package.requirements()
    for exact in ("torch==", "onedl-mmcv==", "onedl-mmengine==", "onedl-mmdetection==", "mlflow=="):
        (line,) = [line for line in lines if line.startswith(exact)]
        assert f'"{line}"' in (root / "pyproject.toml").read_text()
    assert len(lines) == len(package.SERVING)


def test_a_mask_column_only_where_there_are_masks():
    assert "mask" not in package.signature(masks=False).outputs.input_names()
    assert package.signature(masks=True).outputs.input_names()[-1] == "mask"


evaluations = st.lists(
    st.tuples(st.sampled_from("xy"), st.none() | st.sampled_from([0.1, 0.2, 0.3])), min_size=1
)


@given(evaluations)
def test_best_is_the_first_of_the_highest_on_the_newest_val(evaluations):
    versions = [
        SimpleNamespace(number=n, tags={VAL: val} | ({} if ap is None else {AP: str(ap)}))
        for n, (val, ap) in enumerate(evaluations)
    ]
    best = best_version(versions)
    same = [
        (n, ap) for n, (val, ap) in enumerate(evaluations)
        if val == evaluations[-1][0] and ap is not None
    ]  # fmt: skip
    if not same:
        assert best is None
    else:
        highest = max(ap for _, ap in same)
        assert best.number == min(n for n, ap in same if ap == highest)


def test_a_path_that_looks_like_base64_is_a_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    Image.fromarray(RGB).save("data/abc.png")
    Path("data/abc.png").rename("data/abc")  # 8 letters, as base64 might be
    np.testing.assert_array_equal(to_bgr("data/abc", "it")[..., ::-1], RGB)


def test_an_image_of_ascii_letters_is_no_base64():
    assert to_bgr(b"P3 1 1 255 7 8 9 ", "it").tolist() == [[[9, 8, 7]]]
