"""The index gives back what the annotation file says, and each mask as pycocotools draws it."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from pipeline.data.index import Index, write_index
from pipeline.data.rle import decoded

NUMBER = st.floats(0, 1e4, allow_nan=False)
BOX = st.lists(NUMBER, min_size=4, max_size=4)
POLYGON = st.lists(st.floats(-3, 15), min_size=6, max_size=10).filter(lambda p: len(p) % 2 == 0)


ONE = dict(
    images=[{"id": 1, "file_name": "a.png", "width": 5, "height": 5}],
    annotations=[
        {
            "image_id": 1,
            "category_id": 1,
            "bbox": [0, 0, 2, 2],
            "segmentation": [[0, 0, 3, 0, 3, 3]],
        }
    ],
    categories=[{"id": 1}],
)


@st.composite
def masks(draw, image):
    """Polygons, or an RLE as pycocotools writes it: a text, or a list of runs."""
    size = [image["height"], image["width"]]
    if draw(st.booleans()):
        return draw(st.lists(POLYGON, min_size=1, max_size=2))
    pixels = size[0] * size[1]
    ends = sorted(draw(st.lists(st.integers(0, pixels), max_size=9)))
    runs = {"size": size, "counts": np.diff([0, *ends, pixels]).tolist()}
    packed = coco.frPyObjects(runs, *size)
    return draw(st.sampled_from([runs, {"size": size, "counts": packed["counts"].decode()}]))


def drawn(segmentation, height, width):
    if isinstance(segmentation, list):
        return coco.decode(coco.merge(coco.frPyObjects(segmentation, height, width)))
    if isinstance(segmentation["counts"], list):
        segmentation = coco.frPyObjects(segmentation, height, width)
    return coco.decode(segmentation)


def whole(box, runs, height, width):
    x0, y0, x1, y1 = box
    mask = np.zeros((height, width), np.uint8)
    mask[y0:y1, x0:x1] = decoded(runs, y1 - y0, x1 - x0)
    return mask


@st.composite
def documents(draw):
    categories = draw(st.lists(st.integers(0, 2**40), min_size=1, max_size=5, unique=True))
    ids = draw(st.lists(st.integers(0, 2**40), max_size=6, unique=True))
    names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
    images = [{"id": i, "file_name": draw(names), "width": 7 + i % 5, "height": 5} for i in ids]
    of_images = st.lists(st.sampled_from(images), max_size=12) if ids else st.just([])
    annotations = [
        dict(
            image_id=image["id"], category_id=draw(st.sampled_from(categories)), bbox=draw(BOX),
            segmentation=draw(masks(image)),
        )
        for image in draw(of_images)
    ]  # fmt: skip
    return {
        "images": images,
        "annotations": annotations,
        "categories": [{"id": c} for c in categories],
    }


@given(documents())
@settings(deadline=None, max_examples=60)
def test_every_image_comes_back_whole(tmp_path_factory, document):
    folder = tmp_path_factory.mktemp("index") / "train"
    write_index(folder, document)
    index = pickle.loads(pickle.dumps(Index(folder)))
    assert len(index) == len(document["images"])
    order = sorted(category["id"] for category in document["categories"])
    for position, image in enumerate(document["images"]):
        found = index.image(position)
        of_image = [a for a in document["annotations"] if a["image_id"] == image["id"]]
        assert found["img_id"] == image["id"]
        assert found["file_name"] == image["file_name"]
        assert index.size(position) == (image["width"], image["height"])
        assert (position in index.with_objects()) == bool(of_image)
        corners = [[x, y, x + w, y + h] for x, y, w, h in (a["bbox"] for a in of_image)]
        assert found["boxes"].tolist() == corners
        categories = [order[label] for label in found["labels"]]
        assert categories == [annotation["category_id"] for annotation in of_image]
        size = image["height"], image["width"]
        for mask, annotation in zip(found["masks"], of_image, strict=True):
            expected = drawn(annotation["segmentation"], *size)
            assert (whole(*mask, *size) == expected).all()
            (left, top, right, bottom), _ = mask
            assert (right - left) * (bottom - top) == box_area(expected)


def box_area(mask):
    rows, columns = np.nonzero(mask)
    return int(np.ptp(rows) + 1) * int(np.ptp(columns) + 1) if len(rows) else 0


def test_arrays_are_mapped_not_read(tmp_path):
    write_index(tmp_path / "train", ONE)
    index = Index(tmp_path / "train")
    arrays = (index.images, index.instances, index.runs, index.names)
    assert all(isinstance(array.base, np.memmap) for array in arrays)


def test_a_missing_or_damaged_index_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"cannot be read .* run `dvc repro -f prepare`"):
        Index(tmp_path / "none")
    for name in ("images.npy", "instances.npy", "masks.bin", "names.bin"):
        write_index(tmp_path / "train", ONE)
        path = tmp_path / "train" / name
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(ValueError, match="cannot be read"):
            Index(tmp_path / "train")
