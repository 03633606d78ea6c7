"""At LVIS v1's size: what `prepare` costs, and what a start costs beside mmdet's own data set.

    python benchmarks/lvis_scale.py [--images 100170] [--folder DIR]

Generates an annotation file of LVIS v1 train's size (1.27 million polygons, 1,203 categories, about
1 GB; the images are one picture under many names), prepares it, and then starts 1 and 2 ranks with
2 loading workers each: seconds to the first batch, and the memory of all processes together (PSS:
shared pages count once). Needs 8 GB of memory and 4 GB of disk.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

CATEGORIES, BOXES_PER_IMAGE, COORDINATES = 1203, 12.68, 80
SIZE = (640, 480)
WORKERS, BATCH = 2, 2

START = """
import sys, time
start = time.perf_counter()
from mmengine.registry import init_default_scope
from mmdet.registry import DATASETS
from mmengine.dataset import pseudo_collate
from torch.utils.data import DataLoader
import mmdet.datasets, pipeline.detection, pipeline.training.transforms
init_default_scope("mmdet")
imported = time.perf_counter()
kind, folder = sys.argv[1:]
file, kinds, objects = {
    "ours": (
        f"{folder}/out/index/train", "LongTailDataset", dict(type="LoadObjects", masks=True),
    ),
    "mmdet": (
        f"{folder}/annotations/train.json", "LVISV1Dataset",
        dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
    ),
}[kind]
dataset = DATASETS.build(dict(
    type=kinds, ann_file=file, data_prefix=dict(img=f"{folder}/images"),
    filter_cfg=dict(filter_empty_gt=True),
    pipeline=[
        dict(type="LoadImageFromFile"), objects,
        dict(type="Resize", scale=(640, 480), keep_ratio=True), dict(type="PackDetInputs"),
    ],
))
loader = iter(DataLoader(dataset, 2, num_workers=2, collate_fn=pseudo_collate, shuffle=True))
next(loader)
print("first", time.perf_counter() - imported, flush=True)
for _ in range(20):
    next(loader)
print("ready", flush=True)
sys.stdin.readline()
"""


def generate(folder, images):
    """Write annotations/{train,val}.json and the one picture."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    (folder / "annotations").mkdir()
    picture = folder / "picture.jpg"
    Image.fromarray(rng.integers(0, 255, (*SIZE[::-1], 3), np.uint8)).save(picture)
    for number in range(1, images + 1):
        (folder / f"images/{number}.jpg").hardlink_to(picture)
    polygons = [polygon(rng) for _ in range(2000)]
    share = 1 / np.arange(1, CATEGORIES + 1)
    write_split(folder / "annotations/train.json", images, rng, polygons, share / share.sum())
    write_split(folder / "annotations/val.json", 50, rng, polygons, share / share.sum())


def polygon(rng):
    """(bbox, area, JSON of the segmentation) of a star-shaped polygon."""
    angle = np.sort(rng.uniform(0, 2 * np.pi, COORDINATES // 2))
    radius = rng.uniform(10, 60, COORDINATES // 2)
    centre = rng.uniform(70, 400, 2)
    points = np.round(centre + np.stack([np.cos(angle), np.sin(angle)], 1) * radius[:, None], 2)
    low, high = points.min(0), points.max(0)
    box = [*low.tolist(), *np.round(high - low, 2).tolist()]
    return (
        json.dumps(box),
        round(float(np.prod(high - low)) / 2, 2),
        json.dumps([points.ravel().tolist()]),
    )


def write_split(path, images, rng, polygons, share):
    with open(path, "w") as file:
        file.write('{"images":[')
        for i in range(1, images + 1):
            negative = rng.integers(1, CATEGORIES + 1, 10).tolist()
            file.write("," * (i > 1) + json.dumps({
                "id": i, "file_name": f"{i}.jpg",
                "coco_url": f"http://images.cocodataset.org/{i}.jpg",
                "width": SIZE[0], "height": SIZE[1], "neg_category_ids": negative,
                "not_exhaustive_category_ids": negative[:2],
            }))  # fmt: skip
        file.write('],"annotations":[')
        number = 0
        for i in range(1, images + 1):
            for category in rng.choice(CATEGORIES, rng.poisson(BOXES_PER_IMAGE), p=share) + 1:
                box, area, segmentation = polygons[rng.integers(len(polygons))]
                number += 1
                file.write("," * (number > 1) + (
                    f'{{"id":{number},"image_id":{i},"category_id":{category},"area":{area},'
                    f'"bbox":{box},"segmentation":{segmentation}}}'
                ))  # fmt: skip
        counts = {"frequency": "c", "image_count": 1, "instance_count": 1}
        names = [{"id": k, "name": f"category {k}", **counts} for k in range(1, CATEGORIES + 1)]
        file.write('],"categories":' + json.dumps(names) + "}")


def prepare(folder):
    """(seconds, peak GB) of the stage's work."""
    code = (
        "import resource; from pathlib import Path\n"
        "from pipeline.data.sources.files import Data, Split\n"
        f"folder = {str(folder)!r}\n"
        "split = lambda name: Split(annotations=f'{name}.json', images=f'{folder}/images')\n"
        "data = Data(name='big', source='files', annotations=f'{folder}/annotations',"
        " train=split('train'), val=split('val'), verify='header')\n"
        "data.prepare(Path(folder, 'out'))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)"
    )
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True
    )
    return time.perf_counter() - start, float(done.stdout.splitlines()[-1])


def start(kind, ranks, folder):
    """(seconds to the slowest rank's first batch, GB of all processes together)."""
    command = [sys.executable, "-c", START, kind, str(folder)]
    pipes = dict(
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    processes = [subprocess.Popen(command, **pipes) for _ in range(ranks)]
    seconds = max(float(read(process, "first").split()[1]) for process in processes)
    for process in processes:
        read(process, "ready")
    tree = [
        p for q in processes for p in (psutil.Process(q.pid), *psutil.Process(q.pid).children(True))
    ]
    memory = sum(p.memory_full_info().pss for p in tree) / 2**30
    for process in processes:
        process.communicate("\n")
    return seconds, memory


def read(process, word):
    for line in process.stdout:
        if line.startswith(word):
            return line
    raise RuntimeError(f"a rank ended before it was {word!r}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=100_170)
    parser.add_argument("--folder", type=Path, help="where to write (default: a temporary folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        generate(folder, options.images)
        size = (folder / "annotations/train.json").stat().st_size / 2**30
        seconds, memory = prepare(folder)
        print(f"prepare: {size:.2f} GB of annotations, {seconds:.0f} s, {memory:.2f} GB at most")
        for ranks in (1, 2):
            ours, theirs = start("ours", ranks, folder), start("mmdet", ranks, folder)
            for what, unit, a, b in zip(
                ("first batch", "all processes"), ("s", "GB"), ours, theirs, strict=True
            ):
                print(f"{ranks} rank(s): {what} {a:.2f} {unit}, mmdet's {b:.2f}; {b / a:.1f} times")


if __name__ == "__main__":
    main()
