"""LVIS's result list: JSON with a mapping a detection, as columns of numbers."""

import numpy as np
import pyarrow as pa

from pipeline.data.fields import RULES, Rule, is_finite
from pipeline.files import read_json
from pipeline.messages import shown

NUMBER = Rule(is_finite, "it must be a finite number, without quotes")
ANNOTATION = RULES["annotations"]
FIELDS = {name: ANNOTATION[name] for name in ("image_id", "category_id")} | {"score": NUMBER}
KINDS = {"image_id": np.int64, "category_id": np.int64}
COMPRESSED = "it must be a compressed RLE {size, counts}, as pycocotools.mask.encode makes it"


def read_results(path, truth, iou_type):
    """image_id, category_id, score and boxes [N, 4], or rle for the masks, by their names."""
    results = read_json(path)
    if not isinstance(results, list):
        raise ValueError(f"{path} is not an LVIS result file: it must be a list of detections")
    shape = "bbox" if iou_type == "bbox" else "segmentation"
    for row, result in enumerate(results):
        for name in (*FIELDS, shape):
            if not isinstance(result, dict) or name not in result:
                raise ValueError(f"{path}: detection {row} has no {name!r}")
    columns = {
        name: values(path, results, name, rule, KINDS.get(name, float))
        for name, rule in FIELDS.items()
    }
    if iou_type == "segm":
        return {**columns, "rle": mask_counts(path, results, truth)}
    boxes = values(path, results, "bbox", ANNOTATION["bbox"], float)
    return {**columns, "boxes": boxes.reshape(-1, 4)}


def values(path, results, name, rule, kind):
    """One field of all detections as an array."""
    for row, result in enumerate(results):
        if not rule.holds(result[name]):
            refuse(path, row, name, result[name], rule.wanted)
    return np.array([result[name] for result in results], kind)


def mask_counts(path, results, truth):
    """The counts of the masks, whose sizes must be those of their images."""
    sizes = {image["id"]: [image["height"], image["width"]] for image in truth.images}
    for row, result in enumerate(results):
        mask = result["segmentation"]
        if not isinstance(mask, dict) or not isinstance(mask.get("counts"), str):
            refuse(path, row, "segmentation", mask, COMPRESSED)
        size = sizes.get(result["image_id"], mask.get("size"))
        if mask.get("size") != size:
            raise ValueError(
                f"{path}: the mask of detection {row} has the size {shown(mask.get('size'))}, "
                f"but image {result['image_id']} in {truth.path} has {size} (height, width)"
            )
    # what UTF-8 cannot write is no mask either, and is found with its row
    counts = [r["segmentation"]["counts"].encode(errors="replace").decode() for r in results]
    return pa.chunked_array([counts], pa.large_string())


def refuse(path, row, name, value, wanted):
    raise ValueError(f"{path}: detection {row} has the {name} {shown(value)}; {wanted}")
