"""The index gives back what the annotation file says, whatever is in it."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.data.index import Index, write_index

NUMBER = st.floats(0, 1e4, allow_nan=False)
BOX = st.lists(NUMBER, min_size=4, max_size=4)
MASK = st.one_of(
    st.lists(st.lists(NUMBER, min_size=6, max_size=8), min_size=1, max_size=2),
    st.fixed_dictionaries({"size": st.just([5, 7]), "counts": st.text(max_size=9)}),
)

ONE = dict(
    images=[{"id": 1, "file_name": "a.png", "width": 5, "height": 5}],
    annotations=[
        {"image_id": 1, "category_id": 1, "bbox": [0, 0, 2, 2], "segmentation": [[0] * 6]}
    ],
    categories=[{"id": 1}],
)


@st.composite
def documents(draw):
    categories = draw(st.lists(st.integers(0, 2**40), min_size=1, max_size=5, unique=True))
    ids = draw(st.lists(st.integers(0, 2**40), max_size=6, unique=True))
    names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
    images = [{"id": i, "file_name": draw(names), "width": 7 + i % 5, "height": 5} for i in ids]
    one = st.builds(
        dict, image_id=st.sampled_from(ids), category_id=st.sampled_from(categories), bbox=BOX,
        segmentation=MASK,
    )  # fmt: skip
    annotations = draw(st.lists(one, max_size=12)) if ids else []
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
        assert len(found["instances"]) == len(of_image)
        assert (position in index.with_objects()) == bool(of_image)
        for instance, annotation in zip(found["instances"], of_image, strict=True):
            x, y, w, h = annotation["bbox"]
            assert instance["bbox"] == [x, y, x + w, y + h]
            assert order[instance["bbox_label"]] == annotation["category_id"]
            assert instance["mask"] == annotation["segmentation"]


def test_arrays_are_mapped_not_read(tmp_path):
    write_index(tmp_path / "train", ONE)
    index = Index(tmp_path / "train")
    assert all(isinstance(a, np.memmap) for a in (index.images, index.instances, index.masks))


def test_a_missing_or_damaged_index_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"cannot be read .* run `dvc repro -f prepare`"):
        Index(tmp_path / "none")
    for name in ("images.npy", "instances.npy", "masks.bin", "names.bin"):
        write_index(tmp_path / "train", ONE)
        path = tmp_path / "train" / name
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(ValueError, match="cannot be read"):
            Index(tmp_path / "train")
