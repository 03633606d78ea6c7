"""What a served model consists of: weights.pth, config.py, categories.json, settings.json.

Weights and config are those of ``models/<method>/``. Imports no torch.
"""

import ast
from pathlib import Path

from pipeline.data.categories import read_categories
from pipeline.data.places import data_folder
from pipeline.files import read_json, write_json, write_text
from pipeline.masking import masked
from pipeline.params import Params
from pipeline.runs.identity import digest, stage_inputs

WEIGHTS, CONFIG = "weights.pth", "config.py"
CATEGORIES, SETTINGS = "categories.json", "settings.json"
SHOWN = ("id", "name", "frequency", "image_count")


def write_texts(folder: Path, root: Path, params: Params, method: str) -> None:
    """Everything but the weights, which are large: the caller puts them beside."""
    config = (root / "models" / method / CONFIG).read_text(encoding="utf-8")
    write_text(folder / CONFIG, masked(config))
    write_json(folder / CATEGORIES, categories(root, params))
    write_json(folder / SETTINGS, settings(params))


def categories(root, params):
    """Those the model knows, in the order of its classes."""
    rows = read_categories(root / data_folder(params) / "categories.csv")
    return [{key: row[key] for key in SHOWN} for row in rows]


def settings(params):
    """What `predict` depends on: with these the model answers what the stage wrote."""
    predict = params.predict
    return {
        "image_scale": list(params.detector.image_scale),
        "score_threshold": predict.score_threshold,
        "max_per_image": predict.max_per_image,
        "nms_iou": predict.nms_iou,
    }


def identity(root: Path, params: Params, method: str, weights_md5: str) -> str:
    """32 hex digits that change with the weights, the detector, the categories, and what the stage
    `predict` follows from."""
    model = detector(root / "models" / method / CONFIG)
    predicting = stage_inputs(params, "predict", method)
    return digest([weights_md5, model, categories(root, params), predicting], 32)


def read_settings(folder: Path) -> dict:
    return read_json(folder / SETTINGS)


def has_masks(detector: dict) -> bool:
    """Whether its config has the layer that params.yaml calls mask_head, at any depth."""
    parts = [part for part in detector.values() if isinstance(part, dict)]
    return "mask_head" in detector or any(map(has_masks, parts))


def detector(path: Path) -> dict:
    """What mmdet builds the detector from; ``ValueError`` as for ``read_config``."""
    config = read_config(path)
    if "model" not in config:
        raise ValueError(f"{path} has no `model`; train the method again")
    return config["model"]


def read_config(path: Path) -> dict:
    """The values of a dumped mmengine config, read as data: ``Config.fromfile`` would run the file.

    ``ValueError`` where there is anything but names, literals and ``dict(...)``.
    """
    try:
        lines = ast.parse(path.read_text(encoding="utf-8")).body
        return {line.targets[0].id: value(line.value) for line in lines}
    except (SyntaxError, AttributeError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise ValueError(f"{path} is no config as the training writes it: {reason}") from None


def value(node):
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        if node.args or not all(word.arg for word in node.keywords):
            raise ValueError("dict() takes names only")
        return {word.arg: value(word.value) for word in node.keywords}
    if isinstance(node, ast.Dict):
        return {value(k): value(v) for k, v in zip(node.keys, node.values, strict=True)}
    if isinstance(node, ast.List | ast.Tuple):
        kind = list if isinstance(node, ast.List) else tuple
        return kind(value(item) for item in node.elts)
    return ast.literal_eval(node)
