"""Detections become rows in the data set's own ids and pixels."""

import numpy as np
import pandas as pd
import pytest
import torch
from hotcoco import mask as rle
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData
from tiny_detector import CLASSES, build_detector

from pipeline.training import predict
from pipeline.training.predict import detections, run, run_lengths


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


def test_masks_become_run_lengths_in_the_size_of_the_image():
    masks = np.zeros((2, 30, 40), bool)
    masks[0, 3:9, 5:30] = True
    masks[1, 29, 39] = True
    texts = run_lengths(masks)
    decoded = rle.decode([{"size": [30, 40], "counts": text} for text in texts])
    assert (decoded.transpose(2, 0, 1) == masks).all()


@pytest.fixture(scope="module")
def mask_detector(root):
    torch.manual_seed(0)
    config = Config.fromfile(root / "configs/detectors/faster_rcnn_r18_fpn.py")
    config.model["test_cfg"]["rcnn"] = dict(
        score_thr=0.0, nms=dict(type="nms", iou_threshold=0.5), max_per_img=20, mask_thr_binary=0.5
    )
    return build_detector(config, masks=True).eval()


def photo(height=48, width=80):
    sample = DetDataSample(
        metainfo=dict(
            img_id=3, ori_shape=(2 * height, 2 * width), img_shape=(height, width),
            scale_factor=(0.5, 0.5),
        )
    )  # fmt: skip
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (3, height, width), generator=generator, dtype=torch.uint8)
    return {"inputs": [pixels], "data_samples": [sample]}


def table(samples):
    return pd.concat([detections(s, torch.arange(5)) for s in samples], ignore_index=True)


@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_masks_in_parts_are_those_of_mmdet_in_one(mask_detector, monkeypatch, at_once):
    with torch.no_grad():
        expected = table(mask_detector.test_step(photo()))
    assert expected.rle.nunique() > 1
    monkeypatch.setattr(predict, "MASK_BYTES", at_once * CLASSES * predict.LOGIT_BYTES)
    parts = list(run(mask_detector, photo()))
    assert max(len(part.pred_instances) for part in parts) == min(at_once, len(expected))
    pd.testing.assert_frame_equal(table(parts), expected)


def test_no_detection_keeps_the_column_of_masks(mask_detector, monkeypatch, tmp_path):
    monkeypatch.setitem(mask_detector.roi_head.test_cfg, "score_thr", 1.0)
    found = table(run(mask_detector, photo()))
    assert len(found) == 0
    found.to_parquet(tmp_path / "p.parquet")
    assert "rle" in pd.read_parquet(tmp_path / "p.parquet")
