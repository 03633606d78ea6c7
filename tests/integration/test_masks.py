"""A detector with masks: predict, evaluate and report, from real (untrained) weights."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from hotcoco import mask as rle
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from tiny_detector import CLASSES, add_masks

import pipeline.detection  # noqa: F401
from pipeline.detection.class_weights import write_class_weights
from pipeline.params import load
from pipeline.training.recipe import build_config
from stages.diagnose import diagnose
from stages.evaluate import evaluate
from stages.predict import predict
from stages.prepare import prepare
from stages.report import report

SIZE = 64
PARAMS = f"""
data: {{name: symbols, source: symbols, categories: {CLASSES},
  train_images: 10, val_images: 4, image_size: {SIZE}}}
detector: {{config: faster_rcnn_r18_fpn, image_scale: [48, 48]}}
train: {{batch_size: 4, learning_rate: 0.01}}
representation:
  bce: {{loss: {{type: bce}}, epochs: 1}}
classifier: {{}}
predict: {{score_threshold: 0.0, max_per_image: 40}}
report: {{methods: [bce], baseline: bce, gallery_images: 2}}
compute: {{gpus: 0, workers: 0}}
tracking: {{enabled: false}}
"""


def write_model(folder, settings):
    """A Mask R-CNN that knows nothing, as the training publishes one."""
    init_default_scope("mmdet")
    config = build_config(settings, "bce", "")
    add_masks(config.model)
    torch.manual_seed(0)
    model = MODELS.build(config.model)
    model.init_weights()
    folder.mkdir(parents=True)
    torch.save(model.state_dict(), folder / "weights.pth")
    write_class_weights(model.state_dict(), CLASSES, folder)
    config.dump(folder / "config.py")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("masks")
    (folder / "params.yaml").write_text(PARAMS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        prepare()
        write_model(folder / "models/bce", load())
        predict("bce")
        evaluate("bce")
        diagnose("bce")
        report()
    return folder


def test_every_detection_has_a_mask_inside_its_box_in_the_size_of_the_image(project):
    table = pd.read_parquet(project / "predictions/bce.parquet")
    assert len(table) > 40
    masks = [{"size": [SIZE, SIZE], "counts": counts} for counts in table.rle]
    x, y, w, h = rle.to_bbox(masks).T
    some = rle.area(masks) > 0
    assert some.any()
    for low, size, box, side in ((x, w, table.x, table.w), (y, h, table.y, table.h)):
        assert (low >= np.floor(box) - 1)[some].all()
        assert (low + size <= np.ceil(box + side) + 1)[some].all()


def test_metrics_and_report_speak_of_masks(project):
    metrics = json.loads((project / "reports/metrics/bce.json").read_text())
    boxes = {key for key in metrics if not key.startswith("segm/")}
    assert {key.removeprefix("segm/") for key in metrics} == boxes
    assert {"segm/AP", "segm/fixed/AP", "segm/simcal/AP1", "segm/fixed/simcal/AP1"} <= set(metrics)
    page = (project / "reports/index.html").read_text(encoding="utf-8")
    assert "<h3>Mask AP</h3>" in page and '<path class="mask"' in page
    table = pd.read_csv(project / "reports/ap_by_frequency_segm.csv")
    assert table.AP.tolist() == [pytest.approx(100 * metrics["segm/AP"])]


def test_masks_are_resampled_as_the_boxes_are(project):
    metrics = json.loads((project / "reports/metrics/bce.json").read_text())
    table = pd.read_csv(project / "reports/diagnosis/bce/bootstrap.csv")
    boxes = [key for key in table if not key.startswith("segm/")]
    assert list(table) == boxes + [f"segm/{key}" for key in boxes]
    assert len(table) == 1000
    for key in ("AP", "segm/AP"):
        assert abs(table[key].mean() - metrics[key]) <= 3 * table[key].std()
