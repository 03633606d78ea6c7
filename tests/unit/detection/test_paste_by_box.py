"""Copy-paste on data without masks: the box, which prepare puts in as a polygon, is pasted."""

import json

import numpy as np
from mmdet.registry import DATASETS
from mmengine.registry import init_default_scope
from PIL import Image

import pipeline.detection
import pipeline.training.transforms  # noqa: F401  (registers ours)
from pipeline.data.sources.files import Data, Split
from pipeline.params import Augmentation
from pipeline.training import augmentation

SIZE = 64
BLACK, WHITE = 0, 1
BOXES = {BLACK: [2, 3, 10, 10], WHITE: [30, 20, 20, 12]}


def build(folder, boxes):
    """A black photo and a white one, each with one box of a class of its own."""
    init_default_scope("mmdet")
    document = {"images": [], "annotations": [], "categories": []}
    for number, box in boxes.items():
        Image.new("RGB", (SIZE, SIZE), (255 * number,) * 3).save(folder / f"{number}.png")
        image = {"id": number, "file_name": f"{number}.png", "width": SIZE, "height": SIZE}
        annotation = {"id": number, "image_id": number, "category_id": number, "bbox": box}
        document["images"].append(image)
        document["annotations"].append(annotation)
        document["categories"].append({"id": number, "name": str(number)})
    (folder / "train.json").write_text(json.dumps(document))
    split = Split(annotations="train.json", images=str(folder))
    data = Data(name="boxes", source="files", annotations=str(folder), train=split, val=split)
    data.prepare(folder / "out")
    settings = Augmentation(flip=0.0, copy_paste=100)
    return DATASETS.build(dict(
        type="SeededDataset", seed=0,
        dataset=dict(
            type="LongTailDataset",
            ann_file=str(folder / "out/index/train"),
            data_prefix=dict(img=str(folder)),
            pipeline=augmentation.load_transforms(settings, [SIZE, SIZE]),
        ),
        transforms=augmentation.mix_transforms(settings, [SIZE, SIZE]),
    ))  # fmt: skip


def test_the_pixels_of_the_box_are_pasted_and_no_others(tmp_path):
    dataset, pasted = build(tmp_path, BOXES), []
    for epoch in range(20):
        dataset.epoch = epoch
        item = dataset[BLACK, 0]
        instances = item["data_samples"].gt_instances
        white = item["inputs"].numpy().min(0) == 255
        assert set(np.unique(item["inputs"].numpy())) <= {0, 255}
        if WHITE in instances.labels.tolist():
            x, y, w, h = BOXES[WHITE]
            expected = np.zeros_like(white)
            expected[y : y + h, x : x + w] = True
            assert (white == expected).all()
            row = instances.labels.tolist().index(WHITE)
            boxes = getattr(instances.bboxes, "tensor", instances.bboxes)
            assert boxes[row].tolist() == [x, y, x + w, y + h]
        else:
            assert not white.any()
        pasted.append(WHITE in instances.labels.tolist())
    assert 0 < sum(pasted) < len(pasted)


def test_an_object_in_the_corner_that_is_covered_whole_leaves_no_empty_box(tmp_path):
    """mmdet keeps what moved by few pixels; an empty box at the origin, too: a loss of nan."""
    dataset = build(tmp_path, {BLACK: [0, 0, 0.3, 0.4], WHITE: BOXES[WHITE]})
    for epoch in range(20):
        dataset.epoch = epoch
        boxes = dataset[BLACK, 0]["data_samples"].gt_instances.bboxes
        sizes = getattr(boxes, "tensor", boxes)
        assert (sizes[:, 2:] > sizes[:, :2]).all()
