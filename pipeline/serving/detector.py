"""What ``mlflow.pyfunc.load_model`` loads: a trained detector that answers images.

MLflow calls ``_load_pyfunc`` (its "loader module"), so no object is unpickled: weights are read
with ``weights_only``, the config as data (``data_folder.read_config``).
"""

import threading
from pathlib import Path

import pandas as pd
import torch
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope

import pipeline.detection  # noqa: F401  (registers the method with mmdet)
from pipeline.files import read_json
from pipeline.serving import model_folder as data_folder
from pipeline.serving.inputs import listed, refused, to_bgr
from pipeline.training.augmentation import test_transforms
from pipeline.training.device import in_device_order
from pipeline.training.predict import detections, run, set_test

COLUMNS = ["image", "category_id", "name", "frequency", "score", "box"]


def _load_pyfunc(data_path):
    return Detector(Path(data_path))


class Detector:
    """Answers images one after the other, on a GPU where there is one."""

    def __init__(self, folder: Path):
        self.categories = read_json(folder / data_folder.CATEGORIES)
        self.ids = torch.tensor([category["id"] for category in self.categories])
        self.known = {category["id"]: category for category in self.categories}
        settings = data_folder.read_settings(folder)
        self.model = build_model(folder, settings)
        _, *others = test_transforms(settings["image_scale"])
        self.transforms = Compose(others)  # without the loading of a file
        self.one_at_a_time = threading.Lock()  # a server asks from several threads

    def predict(self, data, params: dict | None = None) -> pd.DataFrame:
        """``data``: one image (``images.to_bgr``) or several (``images.listed``).

        One row a detection, the best of each image first: image (its number, from 0),
        category_id, name, frequency, score, box [x, y, width, height] in pixels, and with masks
        ``mask``, COCO's compressed RLE. ``params``: score_threshold, max_per_image.
        """
        params = checked(params or {})
        images = listed(data)
        read = [to_bgr(given, f"image {n} of {len(images)}") for n, given in enumerate(images, 1)]
        with self.one_at_a_time:
            tables = [self.answer(image, number, params) for number, image in enumerate(read)]
        return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=COLUMNS)

    def answer(self, image, number, params):
        found = self.detect(image, number)
        best = found[found.score >= params["score_threshold"]]
        best = best.nlargest(params["max_per_image"], "score", keep="first")
        return self.described(best, image.shape[:2])

    def detect(self, image, number=0):
        """Rows as in predictions/<method>.parquet, for an image with blue first."""
        shape = image.shape[:2]
        about = dict(img_id=number, img_path=None, img_shape=shape, ori_shape=shape)
        batch = pseudo_collate([self.transforms({"img": image, **about})])
        tables = [detections(sample, self.ids) for sample in run(self.model, batch)]
        return pd.concat(tables, ignore_index=True)

    def described(self, found, shape):
        table = pd.DataFrame(
            {
                "image": found.image_id,
                "category_id": found.category_id,
                "name": [self.known[i]["name"] for i in found.category_id],
                "frequency": [self.known[i]["frequency"] for i in found.category_id],
                "score": found.score,
                "box": found[["x", "y", "w", "h"]].to_numpy().tolist(),
            }
        )
        if "rle" in found:
            size = list(shape)
            table["mask"] = [{"size": size, "counts": counts} for counts in found.rle]
        return table


def checked(params):
    threshold, most = params.get("score_threshold", 0.0), params.get("max_per_image", 2**31)
    if threshold is None or not 0 <= threshold <= 1:
        raise refused(f"score_threshold is {threshold}; allowed: 0 to 1")
    if most is None or most < 1:
        raise refused(f"max_per_image is {most}; allowed: 1 or more")
    return {"score_threshold": threshold, "max_per_image": most}


def build_model(folder, settings):
    """As `predict` builds it, ready to answer."""
    init_default_scope("mmdet")
    config = ConfigDict(data_folder.detector(folder / data_folder.CONFIG))
    boxes = dict(
        score_thr=settings["score_threshold"],
        nms=dict(type="nms", iou_threshold=settings["nms_iou"]),
        max_per_img=settings["max_per_image"],
    )
    set_test(config, boxes)
    config.backbone.init_cfg = None
    model = MODELS.build(config)
    state = torch.load(folder / data_folder.WEIGHTS, map_location="cpu", weights_only=True)
    model.load_state_dict(state)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return in_device_order(model.to(device)).eval()
