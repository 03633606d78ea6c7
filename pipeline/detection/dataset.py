"""The data set that training and prediction read: our own LVIS-format files, seeded per image."""

import copy
import random

import cv2
import numpy as np
from mmcv.transforms import LoadImageFromFile
from mmdet.datasets.base_det_dataset import BaseDetDataset
from mmdet.registry import DATASETS, TRANSFORMS

from pipeline.files import read_json


@DATASETS.register_module()
class LongTailDataset(BaseDetDataset):
    """Images and instances of an annotation file that ``prepare`` wrote.

    Label k is the k-th category in ascending id order, as in ``categories.csv``.
    """

    def load_data_list(self) -> list[dict]:
        document = read_json(self.ann_file)
        label = {c: k for k, c in enumerate(sorted(c["id"] for c in document["categories"]))}
        instances = {image["id"]: [] for image in document["images"]}
        for annotation in document["annotations"]:
            x, y, w, h = annotation["bbox"]
            instances[annotation["image_id"]].append({
                "bbox": [x, y, x + w, y + h],
                "bbox_label": label[annotation["category_id"]],
                "ignore_flag": 0,
                "mask": annotation["segmentation"],
            })
        return [
            {
                "img_id": image["id"],
                "img_path": f"{self.data_prefix['img']}/{image['file_name']}",
                "height": image["height"],
                "width": image["width"],
                "instances": instances[image["id"]],
            }
            for image in document["images"]
        ]

    def filter_data(self) -> list[dict]:
        """In training, images without any object are left out."""
        if self.test_mode or not (self.filter_cfg or {}).get("filter_empty_gt"):
            return self.data_list
        return [info for info in self.data_list if info["instances"]]


@TRANSFORMS.register_module()
class LoadImage(LoadImageFromFile):
    """mmdet's loader; a file that is absent or not an image is a ``ValueError`` that names it."""

    def transform(self, results: dict) -> dict:
        try:
            loaded = super().transform(results)
        except (FileNotFoundError, AssertionError, cv2.error) as error:
            reason = "does not exist" if isinstance(error, FileNotFoundError) else "is not an image"
            raise ValueError(
                f"{results['img_path']} {reason}; repair it and run `dvc repro -f prepare`"
            ) from None
        return loaded


@DATASETS.register_module()
class SeededDataset:
    """Makes what an item looks like depend on (seed, epoch, index) alone.

    Neither the number of workers or ranks nor a resumed run then changes the data. ``transforms``
    that mix images (copy-paste) get a second item, drawn by the same rule.
    """

    def __init__(self, dataset: dict, transforms: list[dict], seed: int):
        self.dataset = DATASETS.build(dataset)
        self.metainfo = self.dataset.metainfo
        self.transforms = [TRANSFORMS.build(transform) for transform in transforms]
        self.seed = seed
        self.epoch = 0

    def __len__(self):
        return len(self.dataset)

    def get_data_info(self, index: int) -> dict:
        return self.dataset.get_data_info(index)

    def full_init(self):
        self.dataset.full_init()

    def __getitem__(self, index: int) -> dict:
        state = np.random.SeedSequence([self.seed, self.epoch, index]).generate_state(2)
        np.random.seed(state[0])
        random.seed(int(state[1]))
        item = self.dataset[index]
        for transform in self.transforms:
            if hasattr(transform, "get_indexes"):
                other = self.dataset[random.randrange(len(self.dataset))]
                item["mix_results"] = [copy.deepcopy(other)]
            item = transform(item)
            item.pop("mix_results", None)
        return item
