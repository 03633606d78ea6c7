"""Where the gallery's labels go, what its panels say, and its photos."""

import base64
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.evaluation.groupings import LVIS, SIMCAL
from pipeline.pages.template import render_template
from pipeline.reporting import panels, scenes
from pipeline.reporting.sections import gallery

anywhere, crowded = st.floats(-20, 340), st.floats(140, 170)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(*[anywhere] * 4) | st.tuples(*[crowded] * 4), min_size=1, max_size=15),
    st.floats(panels.TAG_HEIGHT, 600),
)
def test_labels_stay_inside_the_picture_and_readable(corners, height):
    boxes = [
        scenes.Box(f"CATEGORY {'X' * 4 * i}", "r", (min(a, c), min(b, d), max(a, c), max(b, d)))
        for i, (a, b, c, d) in enumerate(corners)
    ]
    labels = panels.panel("m", "", boxes, LVIS, 1.0, height).labels[::-1]
    assert [label.box for label in labels] == boxes
    tags = [label.tag for label in labels if label.tag]
    assert tags[0] == labels[0].tag, "the best has one"
    for i, (x, y, width, tall) in enumerate(tags):
        assert x >= 0
        assert y >= 0
        assert x + width <= panels.WIDTH + 1e-6
        assert y + tall <= height + 1e-6
        hidden = [panels.overlap(tags[i], better) for better in tags[:i]]
        assert sum(hidden) <= width * tall / 2 + 1e-6


def test_labels_of_boxes_in_the_same_place_do_not_cover_each_other():
    boxes = [scenes.Box(f"SNOWMAN {i}", "r", (100, 100, 150, 150)) for i in range(4)]
    tags = [label.tag for label in panels.panel("m", "", boxes, LVIS, 1.0, 320).labels]
    shared = [panels.overlap(a, b) for i, a in enumerate(tags) for b in tags[:i]]
    assert max(shared) == 0


def test_a_label_without_room_leaves_the_box_and_its_tooltip():
    boxes = [scenes.Box(f"SNOWMAN {i}", "r", (100, 100, 150, 150), "wrong", 0.5) for i in range(40)]
    shown = panels.panel("m", "", boxes, LVIS, 1.0, 320)
    tags = [label.tag for label in shown.labels]
    assert None in tags[:20] and None not in tags[-6:]
    html = render_template(
        Path(gallery.__file__).with_suffix(".html.j2"), grouping=LVIS, rule="",
        panel={"width": panels.WIDTH, "font": panels.FONT_SIZE},
        pictures=[panels.Picture("photo-1", "1.png", "", 320, [shown])],
    )  # fmt: skip
    assert html.count("<title>SNOWMAN") == 40
    assert html.count('class="tagbox"') == 40 - tags.count(None)


def test_one_object_is_no_objects():
    scene = scenes.Scene({}, [scenes.Box("SNOWMAN", "r", (0, 0, 9, 9))], {})
    assert panels.objects_note(scene, LVIS) == "1 object, 1 rare"


def test_a_panel_is_described_with_the_names_of_groups():
    place = (0, 0, 9, 9)
    truth = [scenes.Box("WHITE STAR", "r", place), scenes.Box("PENCIL", "f", place)]
    description = panels.panel("ground truth", "", truth, LVIS, 1.0, 320).description
    assert description == "ground truth: WHITE STAR, rare; PENCIL, frequent"
    truth = [scenes.Box("WHITE STAR", "1", place)]
    description = panels.panel("ground truth", "", truth, SIMCAL, 1.0, 320).description
    assert description == "ground truth: WHITE STAR, [1,20)"
    found = [scenes.Box("WHITE STAR", "r", place, "correct", 0.75)]
    assert panels.panel("bacl", "", found, LVIS, 1.0, 320).description == (
        "bacl: WHITE STAR 0.75, correct"
    )
    assert panels.panel("bacl", "", [], LVIS, 1.0, 320).description == "bacl: nothing"


def test_long_names_keep_their_beginning_and_end():
    name = "NEGATIVE CIRCLED SANS-SERIF DIGIT NUMBER EIGHT"
    short = panels.shortened(name)
    assert len(short) <= panels.LONGEST_NAME
    assert short.startswith("NEGATIVE CIRCLED")
    assert short.endswith("NUMBER EIGHT")
    assert panels.shortened("SNOWMAN") == "SNOWMAN"


def test_scripts_that_the_font_lacks_still_get_a_width():
    assert panels.text_width("雪だるま") == pytest.approx(4 * panels.FONT_SIZE)


@pytest.mark.parametrize(
    ("size", "longest"), [((100, 128), 320), ((1000, 2000), 720), ((400, 300), 400)]
)
def test_small_photos_are_enlarged_and_large_ones_reduced(tmp_path, size, longest):
    Image.new("RGBA", size).save(tmp_path / "a.png")
    data = panels.photo(tmp_path / "a.png").split("base64,")[1]
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert max(image.size) == longest
        assert image.size[0] / image.size[1] == pytest.approx(size[0] / size[1], rel=0.01)


@pytest.mark.parametrize("content", [None, b"this is no image"])
def test_a_bad_image_is_named(tmp_path, content):
    if content:
        (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.png cannot be read"):
        panels.photo(tmp_path / "a.png")


def pixels_of(data):
    with Image.open(io.BytesIO(base64.b64decode(data.split("base64,")[1]))) as image:
        return np.asarray(image).astype(int)


def test_photos_are_shown_as_the_training_reads_them(tmp_path):
    """Turned by EXIF, 16 bits reduced to 8, transparency ignored."""
    import cv2

    ramp = np.linspace(0, 255, 320 * 360).reshape(320, 360)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(ramp.astype(np.uint8)).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    Image.fromarray((ramp * 257).astype(np.uint16)).save(tmp_path / "deep.png")
    rgba = np.dstack([ramp, ramp, ramp, 255 - ramp]).astype(np.uint8)
    Image.fromarray(rgba).save(tmp_path / "clear.png")
    for name in ("turned.jpg", "deep.png", "clear.png"):
        trained = cv2.imread(str(tmp_path / name), cv2.IMREAD_COLOR)[..., ::-1].astype(int)
        shown = pixels_of(panels.photo(tmp_path / name))
        assert shown.shape == trained.shape, name
        assert np.abs(shown - trained).mean() < 2, name
