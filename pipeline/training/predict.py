"""Detections of a trained method on the val images, in parts that several ranks share."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from hotcoco import mask as rle
from mmdet.registry import DATASETS, MODELS
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.dist import get_rank, get_world_size
from mmengine.registry import init_default_scope
from torch.utils.data import DataLoader
from tqdm import tqdm

import pipeline.detection  # noqa: F401  (registers the method with mmdet)
from pipeline.compute.signals import survive_signals, workers_end
from pipeline.data.places import categories, image_folder, index_folder
from pipeline.detection.families import family_of
from pipeline.detection.model import test_settings
from pipeline.files import atomic_path
from pipeline.training.augmentation import test_transforms
from pipeline.training.device import in_device_order, take_device
from pipeline.training.start import check_start

BATCH_SIZE = 8
MASK_THRESHOLD = 0.5
MASK_BYTES = 2**28  # so much of masks at a time
LOGIT_BYTES = 28 * 28 * 4  # of one detection and class


def predict(task) -> None:
    """Write this rank's share of the missing parts of a ``predict_task.Prediction``.

    A part has one row a detection:

    columns image_id, category_id, x, y, w, h (pixels), score; a detector with masks adds ``rle``,
    the counts of compressed RLE in the image's size. What a part holds depends neither on the
    number of ranks nor on where a killed prediction stopped.
    """
    params = task.settings
    folder = Path("models", task.name)
    check_start(params, folder)
    take_device(params.compute.gpus)
    model = load_model(params, folder)
    size = 1 if model.with_mask else BATCH_SIZE
    # by number, not by turns over what is missing: that differs by the time when a rank looks
    parts = [part for part in task.missing() if part % get_world_size() == get_rank()]
    with workers_end():
        write_parts(task, model, {part: batches_of(task.images_of(part), size) for part in parts})


def write_parts(task, model, batches):
    """``batches``: those of each part."""
    ids = torch.tensor([category["id"] for category in categories(task.settings)])
    every = [batch for part in batches.values() for batch in part]
    loaded = iter(val_loader(task.settings, every))
    bar = dict(desc=f"predict {task.name}", unit="batch", total=len(every), disable=get_rank() > 0)
    with tqdm(**bar) as progress:
        for part, members in batches.items():
            tables = []
            for _ in members:
                tables += [detections(sample, ids) for sample in run(model, next(loaded))]
                progress.update()
            with atomic_path(task.parts()[part]) as temporary:
                pd.concat(tables, ignore_index=True).to_parquet(temporary, index=False)


def batches_of(images: range, size: int) -> list[list[int]]:
    """Which images are predicted together: padding to a common size changes the last digits."""
    return [list(images[start : start + size]) for start in range(0, len(images), size)]


def load_model(params, folder):
    config = Config.fromfile(folder / "config.py")
    init_default_scope("mmdet")
    set_test(config.model, test_settings(params))
    config.model.backbone.init_cfg = None
    model = MODELS.build(config.model)
    state = torch.load(folder / "weights.pth", map_location="cpu", weights_only=True)
    model.load_state_dict(state)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return in_device_order(model.to(device)).eval()


def set_test(model, settings):
    """How the config ``model`` chooses its boxes, and its masks where it has some."""
    family = family_of(model)
    masks = {"mask_thr_binary": MASK_THRESHOLD} if family.has_masks(model) else {}
    family.set_test(model, {**settings, **masks})


def val_loader(params, batches):
    dataset = DATASETS.build(
        dict(
            type="LongTailDataset",
            ann_file=index_folder(params, "val"),
            data_prefix=dict(img=str(image_folder(params, "val"))),
            test_mode=True,
            pipeline=test_transforms(params.detector.image_scale),
        )
    )
    return DataLoader(
        dataset,
        batch_sampler=batches,
        num_workers=params.compute.workers,
        collate_fn=pseudo_collate,
        worker_init_fn=survive_signals,
    )


@torch.no_grad()
def run(model, batch):
    samples = with_masks(model, batch) if model.with_mask else model.test_step(batch)
    for sample in samples:
        yield sample.cpu()


def with_masks(model, batch):
    """What ``model.test_step`` gives for one image, as one sample for every few detections.

    A thousand masks of a large photo together would take gigabytes.
    """
    data = model.data_preprocessor(batch, False)
    (sample,) = data["data_samples"]
    features, family = model.extract_feat(data["inputs"]), family_of(model)
    found = family.predict_boxes(model, features, sample)
    height, width = sample.ori_shape
    # a decoded mask is as large as the image; before, it has logits for every class
    largest = max(height * width, family.mask_classes(model) * LOGIT_BYTES)
    step = max(1, MASK_BYTES // largest)
    for start in range(0, max(1, len(found)), step):
        part = found[start : start + step]
        sample.pred_instances = family.predict_masks(model, features, sample, part)
        yield sample


def detections(sample, category_ids):
    """One image's detections as a table; boxes in pixels of the original image."""
    found = sample.pred_instances
    boxes = found.bboxes.double().numpy()
    masks = {"rle": run_lengths(found.masks.numpy())} if "masks" in found else {}
    return pd.DataFrame(
        {
            "image_id": sample.img_id,
            "category_id": category_ids[found.labels].numpy(),
            "x": boxes[:, 0],
            "y": boxes[:, 1],
            "w": boxes[:, 2] - boxes[:, 0],
            "h": boxes[:, 3] - boxes[:, 1],
            "score": found.scores.double().numpy(),
            **masks,
        }
    )


def run_lengths(masks):
    """Counts of compressed RLE of masks [n, H, W]."""
    columns_first = np.asfortranarray(masks.transpose(1, 2, 0))
    texts = [run["counts"].decode() for run in rle.encode(columns_first)]
    return pd.array(texts, dtype="string[pyarrow]")
