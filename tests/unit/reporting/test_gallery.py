"""Gallery: which boxes are drawn and judged how, and where labels go."""

import base64
import io

import numpy as np
import pandas as pd
import pytest
from hotcoco import mask as rle
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.evaluation.groupings import LVIS, SIMCAL
from pipeline.pages.template import render_template
from pipeline.reporting import gallery, outlines, panels
from pipeline.reporting import ground_truth as truth_file

COLUMNS = ["image_id", "category_id", "x", "y", "w", "h", "score"]
RARE, COMMON = 1, 2


def make_truth(annotations, images):
    objects = pd.DataFrame(annotations, columns=["image_id", "category_id", "x", "y", "w", "h"])
    objects = truth_file.with_corners(objects)
    groups = {RARE: "r", COMMON: "c", 3: "f", 4: "f", 5: "f"}
    objects["group"] = objects.category_id.map(groups)
    names = {i: f"name {i}" for i in groups}
    return truth_file.Truth(images, objects, names, groups, [])


def write(path, rows):
    table = pd.DataFrame(rows, columns=COLUMNS).astype({"image_id": int, "category_id": int})
    table.astype(dict.fromkeys([*"xywh", "score"], float)).to_parquet(path)
    return path


def test_drawn_are_the_best_scored_two_more_than_the_objects(tmp_path):
    truth = make_truth([(7, RARE, 0, 0, 10, 10)], {7: {"id": 7}})
    rows = [(7, COMMON, i, 0, 5, 5, score) for i, score in enumerate((0.1, 0.9, 0.3, 0.5))]
    rows += [(8, COMMON, 0, 0, 5, 5, 0.99)]
    drawn = gallery.drawn_detections(write(tmp_path / "p.parquet", rows), truth, [7])
    assert drawn.score.tolist() == [0.9, 0.5, 0.3]
    assert drawn[gallery.CORNERS].iloc[0].tolist() == [1, 0, 6, 5]


def test_crowded_images_have_a_limit(tmp_path):
    truth = make_truth([(7, RARE, 0, 0, 9, 9)] * 40, {7: {"id": 7}})
    rows = [(7, RARE, 0, 0, 9, 9, i / 100) for i in range(60)]
    path = write(tmp_path / "p.parquet", rows)
    assert len(gallery.drawn_detections(path, truth, [7])) == gallery.MOST


def test_verdicts_follow_the_federated_annotations():
    image = {"id": 7, "neg_category_ids": [3, 5], "not_exhaustive_category_ids": [COMMON]}
    annotations = [(7, RARE, 0, 0, 10, 10), (7, COMMON, 50, 50, 10, 10)]
    truth = make_truth(annotations, {7: image})
    rows = [
        (7, RARE, 1, 0, 10, 10, 0.9),  # overlaps its object by 9/11
        (7, RARE, 6, 0, 10, 10, 0.8),  # by 4/16
        (7, COMMON, 0, 0, 10, 10, 0.7),  # misses, but this category is not exhaustive here
        (7, COMMON, 50, 50, 10, 10, 0.6),
        (7, 3, 0, 0, 10, 10, 0.5),  # known to be absent
        (7, 4, 0, 0, 10, 10, 0.4),  # nobody looked for it
    ]
    detections = truth_file.with_corners(pd.DataFrame(rows, columns=COLUMNS))
    verdicts = [b.verdict for b in gallery.judged(truth, 7, detections)]
    assert verdicts == ["correct", "wrong", "unjudged", "correct", "wrong", "unjudged"]


def test_an_object_counts_its_best_correct_detection_once():
    truth = make_truth([(7, RARE, 0, 0, 10, 10), (7, RARE, 40, 0, 10, 10)], {7: {"id": 7}})
    rows = [
        (7, RARE, 0, 0, 10, 10, 0.5),
        (7, RARE, 0, 0, 10, 9, 0.7),
        (7, RARE, 40, 0, 10, 10, 0.2),
        (7, COMMON, 40, 0, 10, 10, 0.9),
    ]
    detections = truth_file.with_corners(pd.DataFrame(rows, columns=COLUMNS))
    assert gallery.found_scores(truth.objects, detections)[7] == pytest.approx(0.9)


def test_iou_of_known_boxes():
    a = np.array([[0, 0, 2, 2], [0, 0, 2, 2], [0, 0, 2, 2], [1, 1, 1, 1]], float)
    b = np.array([[0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6], [1, 1, 1, 1]], float)
    assert gallery.iou(a, b).tolist() == pytest.approx([1, 1 / 3, 0, 0])


anywhere, crowded = st.floats(-20, 340), st.floats(140, 170)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(*[anywhere] * 4) | st.tuples(*[crowded] * 4), min_size=1, max_size=15),
    st.floats(panels.TAG_HEIGHT, 600),
)
def test_labels_stay_inside_the_picture_and_readable(corners, height):
    boxes = [
        gallery.Box(f"CATEGORY {'X' * 4 * i}", "r", (min(a, c), min(b, d), max(a, c), max(b, d)))
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
    boxes = [gallery.Box(f"SNOWMAN {i}", "r", (100, 100, 150, 150)) for i in range(4)]
    tags = [label.tag for label in panels.panel("m", "", boxes, LVIS, 1.0, 320).labels]
    shared = [panels.overlap(a, b) for i, a in enumerate(tags) for b in tags[:i]]
    assert max(shared) == 0


def test_a_label_without_room_leaves_the_box_and_its_tooltip():
    boxes = [
        gallery.Box(f"SNOWMAN {i}", "r", (100, 100, 150, 150), "wrong", 0.5) for i in range(40)
    ]
    shown = panels.panel("m", "", boxes, LVIS, 1.0, 320)
    tags = [label.tag for label in shown.labels]
    assert None in tags[:20] and None not in tags[-6:]
    html = render_template(
        "sections/gallery.html.j2", grouping=LVIS, group_order=list(LVIS.names), rule="",
        panel={"width": panels.WIDTH, "font": panels.FONT_SIZE},
        pictures=[panels.Picture("photo-1", "1.png", "", 320, [shown])],
    )  # fmt: skip
    assert html.count("<title>SNOWMAN") == 40
    assert html.count('class="tagbox"') == 40 - tags.count(None)


def test_one_object_is_no_objects():
    scene = gallery.Scene({}, [gallery.Box("SNOWMAN", "r", (0, 0, 9, 9))], {})
    assert panels.objects_note(scene, LVIS) == "1 object, 1 rare"


def test_a_panel_is_described_with_the_names_of_groups():
    place = (0, 0, 9, 9)
    truth = [gallery.Box("WHITE STAR", "r", place), gallery.Box("PENCIL", "f", place)]
    description = panels.panel("ground truth", "", truth, LVIS, 1.0, 320).description
    assert description == "ground truth: WHITE STAR, rare; PENCIL, frequent"
    truth = [gallery.Box("WHITE STAR", "1", place)]
    description = panels.panel("ground truth", "", truth, SIMCAL, 1.0, 320).description
    assert description == "ground truth: WHITE STAR, [1,20)"
    found = [gallery.Box("WHITE STAR", "r", place, "correct", 0.75)]
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


def filled(outline, shape):
    """The pixels inside of an outline; svg's evenodd rule."""
    import cv2

    canvas = np.zeros(shape, np.uint8)
    cv2.fillPoly(canvas, [np.floor(line).astype(np.int32) for line in outline], 1)
    return canvas


@pytest.mark.parametrize("kind", ["compressed", "uncompressed", "polygons"])
def test_outline_follows_the_parts_of_a_mask(kind):
    image = {"height": 60, "width": 80}
    pixels = np.zeros((60, 80), np.uint8)
    pixels[5:25, 10:40] = 1
    pixels[40:58, 60:79] = 1
    squares = [[10, 5, 40, 5, 40, 25, 10, 25], [60, 40, 79, 40, 79, 58, 60, 58]]
    columns = pixels.T.ravel()
    edges = np.flatnonzero(np.diff(columns)) + 1
    mask = {
        "compressed": rle.encode(np.asfortranarray(pixels)),
        "uncompressed": {
            "size": [60, 80], "counts": np.diff(edges, prepend=0, append=len(columns)).tolist(),
        },
        "polygons": squares,
    }[kind]  # fmt: skip
    outline = outlines.outline(outlines.whole_mask(mask, image))
    assert (filled(outline, pixels.shape) == pixels).all()
    assert sum(map(len, outline)) == 8


def test_outline_of_a_ring_has_its_hole_and_of_nothing_is_nothing():
    pixels = np.zeros((60, 80), np.uint8)
    pixels[5:55, 10:70] = 1
    pixels[20:40, 30:50] = 0
    outline = outlines.outline(rle.encode(np.asfortranarray(pixels)))
    assert len(outline) == 2
    hole = min(outline, key=lambda line: np.ptp(line[:, 0]))
    assert np.abs([*hole.min(0), *hole.max(0)] - np.array([30, 20, 50, 40])).max() <= 1
    assert outlines.outline(rle.encode(np.asfortranarray(pixels * 0))) == ()


def test_svg_path_is_in_units_of_the_panel():
    outline = (np.array([[0.5, 0.5], [10.5, 0.5], [10.5, 20.5]]),)
    assert panels.svg_path(outline, 2) == "M1.0,1.0 21.0,1.0 21.0,41.0Z"
    assert panels.svg_path((), 2) == ""


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
