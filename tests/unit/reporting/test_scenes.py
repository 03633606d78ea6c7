"""Which boxes the gallery draws, and how they are judged."""

import numpy as np
import pandas as pd
import pytest

from pipeline.reporting import ground_truth as truth_file
from pipeline.reporting import scenes

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
    drawn = scenes.drawn_detections(write(tmp_path / "p.parquet", rows), truth, [7])
    assert drawn.score.tolist() == [0.9, 0.5, 0.3]
    assert drawn[scenes.CORNERS].iloc[0].tolist() == [1, 0, 6, 5]


def test_crowded_images_have_a_limit(tmp_path):
    truth = make_truth([(7, RARE, 0, 0, 9, 9)] * 40, {7: {"id": 7}})
    rows = [(7, RARE, 0, 0, 9, 9, i / 100) for i in range(60)]
    path = write(tmp_path / "p.parquet", rows)
    assert len(scenes.drawn_detections(path, truth, [7])) == scenes.MOST


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
    verdicts = [b.verdict for b in scenes.judged(truth, 7, detections)]
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
    assert scenes.found_scores(truth.objects, detections)[7] == pytest.approx(0.9)


def test_iou_of_known_boxes():
    a = np.array([[0, 0, 2, 2], [0, 0, 2, 2], [0, 0, 2, 2], [1, 1, 1, 1]], float)
    b = np.array([[0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6], [1, 1, 1, 1]], float)
    assert scenes.iou(a, b).tolist() == pytest.approx([1, 1 / 3, 0, 0])
