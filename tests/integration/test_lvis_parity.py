"""Our evaluation equals lvis-api within 1e-9, for AP and AP-fixed, boxes and masks."""

import copy
import json
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evaluation import average_precision as ours
from pipeline.evaluation.evaluate import evaluate_files

pytest.importorskip("lvis", reason="the parity tests need the package lvis")
lvis_api = pytest.importorskip("lvis_api")
masks_api = pytest.importorskip("pycocotools.mask")

pytestmark = pytest.mark.filterwarnings("ignore:The 'warn' method:DeprecationWarning")

SIMCAL_BINS = ((1, 20), (20, 400), (400, 8000), (8000, np.inf))
SIMCAL_KEYS = tuple(f"simcal/AP{number}" for number in range(1, 5))
KEYS, reference, defined_mean = lvis_api.KEYS, lvis_api.reference, lvis_api.defined_mean


def differences(found, expected):
    """The entries that are not equal within 1e-9; None equals only None."""
    assert found.keys() == expected.keys()
    pairs = {key: (found[key], expected[key]) for key in found}
    return {key: pair for key, pair in pairs.items() if not same(*pair)}


def same(a, b):
    return a is b if a is None or b is None else abs(a - b) <= 1e-9


def simcal_means(prefix, per_category, instances):
    """SimCal's bins as the means of lvis-api's AP of their categories."""
    return {
        f"{prefix}{key}": defined_mean(
            np.array(
                [
                    per_category[category]
                    for category, count in instances.items()
                    if low <= count < high and per_category[category] is not None
                ]
            )
        )
        for key, (low, high) in zip(SIMCAL_KEYS, SIMCAL_BINS, strict=True)
    }


def assert_parity(folder, annotations, results, iou_type="bbox", limit=ours.PER_CATEGORY):
    predictions = folder / "predictions.json"
    predictions.write_text(json.dumps(results))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ours, "PER_CATEGORY", limit)
        found = evaluate_files(annotations, predictions, iou_type)
    metrics, per_category = reference(annotations, results, iou_type)
    fixed, fixed_per_category = reference(annotations, results, iou_type, limit)
    expected = {**metrics, **{f"fixed/{key}": value for key, value in fixed.items()}}
    if SIMCAL_KEYS[0] in found.metrics:
        instances = {row["category_id"]: row["instance_count"] for row in found.categories}
        expected |= simcal_means("", per_category, instances)
        expected |= simcal_means("fixed/", fixed_per_category, instances)
    assert differences(found.metrics, expected) == {}
    for column, values in (("AP", per_category), ("fixed_AP", fixed_per_category)):
        mine = {row["category_id"]: row[column] for row in found.categories}
        assert differences(mine, values) == {}
    return found.metrics


# --- the real sample ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample(shared):
    path = shared / "data/lvis_v0.5_sample/lvis_val_100.json"
    return path, json.loads(path.read_text())


@pytest.fixture(scope="module")
def small_sample(sample, tmp_path_factory):
    """The sample with only the categories that are annotated in it: lvis-api is slow."""
    data = copy.deepcopy(sample[1])
    annotated = {a["category_id"] for a in data["annotations"]}
    data["categories"] = [c for c in data["categories"] if c["id"] in annotated]
    for image in data["images"]:
        image["neg_category_ids"] = [c for c in image["neg_category_ids"] if c in annotated]
    path = tmp_path_factory.mktemp("sample") / "annotations.json"
    path.write_text(json.dumps(data))
    return path, data


def perfect(data):
    sizes = {image["id"]: (image["height"], image["width"]) for image in data["images"]}
    return [
        {
            "image_id": a["image_id"],
            "category_id": a["category_id"],
            "bbox": a["bbox"],
            "score": 1.0,
            "segmentation": compressed(a["segmentation"], *sizes[a["image_id"]]),
        }
        for a in data["annotations"]
    ]


def compressed(polygons, height, width):
    mask = masks_api.merge(masks_api.frPyObjects(polygons, height, width))
    return {"size": [height, width], "counts": mask["counts"].decode()}


def noisy(data, per_image, scores, seed=0):
    """Shifted copies of the annotations plus boxes that hit nothing, of judged categories."""
    random = np.random.default_rng(seed)
    by_image = defaultdict(list)
    for annotation in data["annotations"]:
        by_image[annotation["image_id"]].append(annotation)
    results = []
    for image in data["images"]:
        mine = by_image[image["id"]]
        judged = [a["category_id"] for a in mine] + image["neg_category_ids"]
        judged = judged or [data["categories"][0]["id"]]
        for number in range(per_image):
            if number < 2 * len(mine):
                annotation = mine[number % len(mine)]
                box = np.array(annotation["bbox"]) + random.normal(0, 6, 4)
                category = annotation["category_id"]
            else:
                box = random.uniform(0, 300, 4)
                category = int(random.choice(judged))
            box[2:] = np.abs(box[2:])
            results.append(
                {
                    "image_id": image["id"],
                    "category_id": category,
                    "bbox": box.tolist(),
                    "score": float(scores(random)),
                }
            )
    return results


def as_masks(results, data):
    sizes = {image["id"]: (image["height"], image["width"]) for image in data["images"]}
    for result in results:
        x, y, w, h = result["bbox"]
        triangle = [[x, y, x + w, y + h / 2, x + w / 2, y + h]]
        result["segmentation"] = compressed(triangle, *sizes[result["image_id"]])
    return results


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_ground_truth_as_detections(sample, tmp_path, iou_type):
    path, data = sample
    metrics = assert_parity(tmp_path, path, perfect(data), iou_type)
    assert metrics["AP"] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    "scores",
    [
        pytest.param(lambda random: random.random(), id="noisy"),
        pytest.param(lambda random: random.integers(1, 4) / 4, id="tied"),
    ],
)
@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
def test_noisy_detections(small_sample, tmp_path, iou_type, scores):
    path, data = small_sample
    results = as_masks(noisy(data, 40, scores), data)
    metrics = assert_parity(tmp_path, path, results, iou_type, limit=12)
    assert 0 < metrics["AP"] < 1


@pytest.mark.parametrize("levels", [10**6, 5])
def test_more_than_300_detections_an_image(small_sample, tmp_path, levels):
    path, data = small_sample
    results = noisy(data, 360, lambda random: random.integers(0, levels) / levels)
    metrics = assert_parity(tmp_path, path, results)
    assert metrics["AP"] != metrics["fixed/AP"]


def test_no_rare_category_is_null(small_sample, tmp_path):
    _, data = small_sample
    data = copy.deepcopy(data)
    for category in data["categories"]:
        category["frequency"] = "c" if category["frequency"] == "r" else category["frequency"]
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(data))
    metrics = assert_parity(tmp_path, path, perfect(data))
    assert metrics["APr"] is None and metrics["APc"] > 0.99


def test_no_detections_score_zero_like_one_that_does_not_count(sample, tmp_path):
    path, data = sample
    judged = {a["category_id"] for a in data["annotations"] if a["image_id"] == 266409}
    judged |= set(next(i for i in data["images"] if i["id"] == 266409)["neg_category_ids"])
    other = next(c["id"] for c in data["categories"] if c["id"] not in judged)
    skipped = {"image_id": 266409, "category_id": other, "bbox": [0, 0, 9, 9], "score": 1.0}
    expected, _ = reference(path, [skipped], "bbox")
    empty = tmp_path / "empty.json"
    empty.write_text("[]")
    found = evaluate_files(path, empty).metrics
    assert {key: found[key] for key in KEYS} == expected
    assert found["AP"] == 0 and found["fixed/AP"] == 0


# --- laws over small random data sets -------------------------------------------------------

SIZE = 64
side = st.integers(0, 40)
corner = st.integers(0, SIZE - 1)
box = st.tuples(corner, corner, side, side).map(list)


@st.composite
def datasets(draw):
    categories = [
        {
            "id": number,
            "name": str(number),
            "frequency": draw(st.sampled_from("rcf")),
            "instance_count": draw(st.sampled_from([0, 1, 19, 20, 399, 400, 7999, 8000])),
        }
        for number in draw(st.sets(st.integers(1, 9), min_size=1, max_size=4))
    ]
    a_category = st.sampled_from([category["id"] for category in categories])
    some = st.lists(a_category, unique=True, max_size=4)
    images = [
        {
            "id": number,
            "height": SIZE,
            "width": SIZE,
            "neg_category_ids": draw(some),
            "not_exhaustive_category_ids": draw(some),
        }
        for number in draw(st.sets(st.integers(0, 50), min_size=1, max_size=4))
    ]
    an_image = st.sampled_from([image["id"] for image in images])
    annotations = draw(st.lists(st.tuples(an_image, a_category, box), max_size=8))
    detections = draw(st.lists(st.tuples(an_image, a_category, box), min_size=1, max_size=12))
    copied = draw(st.lists(st.sampled_from(annotations), max_size=6)) if annotations else []
    data = {
        "images": images,
        "categories": categories,
        "annotations": [
            {
                "id": number,
                "image_id": image,
                "category_id": category,
                "bbox": where,
                "area": draw(st.sampled_from([where[2] * where[3], 1024, 9216.5])),
                "iscrowd": draw(st.integers(0, 1)),
                "segmentation": [rectangle(where)],
            }
            for number, (image, category, where) in enumerate(annotations, 1)
        ],
    }
    results = [
        {
            "image_id": image,
            "category_id": category,
            "bbox": where,
            "score": draw(st.sampled_from([0.1, 0.25, 0.5, 0.9])),
        }
        for image, category, where in detections + copied
    ]
    return data, results


def rectangle(where):
    x, y, w, h = where
    return [x, y, x + w, y, x + w, y + h, x, y + h]


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
@settings(max_examples=60, deadline=None)
@given(dataset=datasets(), limit=st.integers(1, 12))
def test_any_small_data_set(tmp_path_factory, iou_type, dataset, limit):
    data, results = dataset
    if iou_type == "segm":
        for result in results:
            result["segmentation"] = compressed([rectangle(result["bbox"])], SIZE, SIZE)
    folder = tmp_path_factory.mktemp("parity")
    path = folder / "annotations.json"
    path.write_text(json.dumps(data))
    assert_parity(folder, path, results, iou_type, limit)
