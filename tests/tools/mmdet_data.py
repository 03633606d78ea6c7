"""Training data, ours and as mmdet's own transforms make it: from full bitmaps of every object."""

from collections import defaultdict
from pathlib import Path

from mmcv.transforms import BaseTransform
from mmdet.registry import DATASETS, TRANSFORMS
from mmengine.registry import init_default_scope

import pipeline.detection
import pipeline.training.transforms  # noqa: F401  (registers ours)
from pipeline.files import read_json
from pipeline.params import Augmentation
from pipeline.training import augmentation

THEIRS = {"FlipImage": "RandomFlip", "PasteObjects": "CopyPaste"}


@TRANSFORMS.register_module()
class ReadInstances(BaseTransform):
    """What mmdet's data sets hand to its ``LoadAnnotations``, from the annotation file ``path``."""

    def __init__(self, path: str):
        document = read_json(path)
        label = {c: k for k, c in enumerate(sorted(c["id"] for c in document["categories"]))}
        self.of_image = defaultdict(list)
        for annotation in document["annotations"]:
            x, y, width, height = annotation["bbox"]
            self.of_image[annotation["image_id"]].append(dict(
                bbox=[x, y, x + width, y + height],
                bbox_label=label[annotation["category_id"]],
                mask=annotation["segmentation"],
                ignore_flag=0,
            ))  # fmt: skip

    def transform(self, results: dict) -> dict:
        results["instances"] = self.of_image[results["img_id"]]
        return results


def training_data(
    prepared: Path,
    images: Path,
    settings: Augmentation,
    scale: list[int],
    masks: bool = False,
    mmdet: bool = False,
):
    """The data set of a training, from what `prepare` wrote."""
    init_default_scope("mmdet")
    load = augmentation.load_transforms(settings, scale, masks)
    mix = augmentation.mix_transforms(settings, scale, masks)
    if mmdet:
        load, mix = (theirs(transforms, prepared / "train.json") for transforms in (load, mix))
    dataset = dict(
        type="LongTailDataset",
        ann_file=str(prepared / "index/train"),
        data_prefix=dict(img=str(images)),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=load,
    )
    return DATASETS.build(dict(type="SeededDataset", dataset=dataset, seed=0, transforms=mix))


def theirs(transforms, path):
    found = []
    for transform in transforms:
        kind, own = transform["type"], {k: v for k, v in transform.items() if k != "masks"}
        if kind == "LoadObjects":
            found += [
                dict(type="ReadInstances", path=str(path)),
                dict(type="LoadAnnotations", with_bbox=True, with_mask=transform["masks"]),
            ]
        elif kind != "SplitColours":
            found.append({**own, "type": THEIRS.get(kind, kind)})
    return found
