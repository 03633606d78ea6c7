"""Detections become rows in the data set's own ids and pixels."""

import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from pipeline.training.predict import detections


def test_labels_become_category_ids_and_corners_become_sizes():
    sample = DetDataSample(metainfo={"img_id": 42})
    sample.pred_instances = InstanceData(
        bboxes=torch.tensor([[1.0, 2.0, 4.0, 8.0], [0.0, 0.0, 10.0, 5.0]]),
        labels=torch.tensor([2, 0]),
        scores=torch.tensor([0.75, 0.5]),
    )
    table = detections(sample, torch.tensor([7, 30, 1000]))
    assert table.to_dict("records") == [
        {"image_id": 42, "category_id": 1000, "x": 1, "y": 2, "w": 3, "h": 6, "score": 0.75},
        {"image_id": 42, "category_id": 7, "x": 0, "y": 0, "w": 10, "h": 5, "score": 0.5},
    ]


def test_no_detection_keeps_the_column_types():
    sample = DetDataSample(metainfo={"img_id": 42})
    sample.pred_instances = InstanceData(
        bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long), scores=torch.zeros(0)
    )
    table = detections(sample, torch.tensor([7]))
    assert len(table) == 0
    assert dict(table.dtypes.astype(str)) == {
        "image_id": "int64", "category_id": "int64", "x": "float64", "y": "float64",
        "w": "float64", "h": "float64", "score": "float64",
    }  # fmt: skip
