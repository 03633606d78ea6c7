"""What the data of a training costs: images per second of one core, ours and mmdet's in turns.

    python benchmarks/data_path.py SHARED FOLDER [--rounds 3]

SHARED has the LVIS v0.5 sample (66 photos with masks), FOLDER takes what is prepared. mmdet's own
transforms make the same items (tests/unit/training/test_transforms.py) from full bitmaps. A JSON
line a pipeline: images per second of processor time of each; what items add to the memory of a
worker at most, and the largest item that it hands on (MB, each ours and mmdet's); and the workers
that a GPU needs which takes 5, 20 or 50 images a second: that speed over one core's, rounded up.

``compute.workers`` of the presets of LVIS's size (for each process, so for each GPU) follows:
copy-paste for 50 images a second, on a core half as fast as the one that was measured.
"""

import argparse
import json
import math
import multiprocessing
import pickle
import sys
import time
from pathlib import Path

import cv2
import psutil
import torch

from pipeline.compute.allocator import keep_freed_memory
from pipeline.data.sources import files, symbols
from pipeline.params import Augmentation

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "tests/tools"))
from mmdet_data import training_data  # noqa: E402

SAMPLE = "data/lvis_v0.5_sample"
SCALE, SMALL = [1333, 800], [112, 112]
JITTER = dict(scale_jitter=[0.8, 1.25], canvas=[1280, 1280])
MULTI_SCALE = Augmentation(short_edges=[640, 672, 704, 736, 768, 800])
PASTING = Augmentation(**JITTER, copy_paste=100)
PIPELINES = {  # which data, what is done to it, image_scale, whether a mask head learns
    "multi-scale": ("lvis", MULTI_SCALE, SCALE, False),
    "jitter": ("lvis", Augmentation(**JITTER), SCALE, False),
    "jitter, copy-paste": ("lvis", PASTING, SCALE, False),
    "multi-scale, masks": ("lvis", MULTI_SCALE, SCALE, True),
    "jitter, copy-paste, masks": ("lvis", PASTING, SCALE, True),
    "symbols: softmax": ("symbols", Augmentation(flip=0.0), SMALL, False),
    "symbols: bce": ("symbols", Augmentation(flip=0.0, copy_paste=100), SMALL, False),
}
GPUS = (5, 20, 50)  # images a second
IMAGES = 64


def main():
    options = parse_arguments()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    keep_freed_memory()  # as in a training
    data = prepare(Path(options.shared).resolve(), Path(options.folder).resolve())
    for name, (source, augment, scale, masks) in PIPELINES.items():
        ours, theirs = (
            training_data(*data[source], augment, scale, masks, mmdet) for mmdet in (False, True)
        )
        speeds = images_per_second((ours, theirs), options.rounds)
        print(json.dumps({
            "pipeline": name,
            "images_per_core_second": [round(speed, 1) for speed in speeds],
            "ratio": round(speeds[0] / speeds[1], 2),
            "memory_mb": [memory_of_a_worker(dataset) for dataset in (ours, theirs)],
            "workers": {speed: math.ceil(speed / speeds[0]) for speed in GPUS},
        }), flush=True)  # fmt: skip


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ("shared", "folder"):
        parser.add_argument(name)
    parser.add_argument("--rounds", type=int, default=3, help="over all images (default 3)")
    return parser.parse_args()


def prepare(shared, folder):
    """The folders of what `prepare` writes and of the images, of both data sets."""
    photos = shared / SAMPLE / "val2017"
    split = files.Split(annotations="lvis_val_66_with_images.json", images=str(photos))
    names = dict(source="files", annotations=str(shared / SAMPLE), train=split, val=split)
    files.Data(name="lvis", **names).prepare(folder / "lvis")
    drawn = dict(categories=60, train_images=IMAGES, val_images=1, image_size=SMALL[0])
    symbols.Data(name="symbols", source="symbols", **drawn).prepare(folder / "symbols")
    return {
        "lvis": (folder / "lvis", photos),
        "symbols": (folder / "symbols", folder / "symbols/images/train"),
    }


def images_per_second(datasets, rounds):
    """Of processor time; the data sets take turns, image by image, after a first one each."""
    seconds = [0.0] * len(datasets)
    images = min(IMAGES, len(datasets[0]))
    for dataset in datasets:
        dataset[0, 0]
    for repeat in range(rounds):
        for index in range(images):
            for place, dataset in enumerate(datasets):
                start = time.process_time()
                dataset[index, repeat]
                seconds[place] += time.process_time() - start
    return [rounds * images / spent for spent in seconds]


def memory_of_a_worker(dataset):
    """What items add to a process that starts, at most, and the largest of them, in MB."""
    with multiprocessing.get_context("spawn").Pool(1, keep_freed_memory) as pool:
        return [round(size / 2**20, 1) for size in pool.apply(make_items, (dataset,))]


def make_items(dataset):
    process, sizes = psutil.Process(), []
    before = process.memory_info().rss
    for index in range(min(IMAGES, len(dataset))):
        item = dataset[index, 0]
        sizes.append(item["inputs"].nbytes + len(pickle.dumps(item["data_samples"])))
    return process.memory_info().rss - before, max(sizes)  # what is freed is kept


if __name__ == "__main__":
    main()
