"""Somebody's checkpoint -> ``models/<name>/``, as if it had been trained here.

Takes mmdet 2.x and 3.x checkpoints, plain state dicts and our own ``weights.pth``. Names are
mmdet's own; those of the official BACL code are translated (``TRANSLATED`` of the detector's
family). Every array of the model must come from the file; the detector itself is that of
``detector.config``.
"""

import ast
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope

import pipeline.detection  # noqa: F401  (registers the method with mmdet)
from pipeline.data.categories import first_difference
from pipeline.data.places import categories
from pipeline.detection.class_weights import write_class_weights
from pipeline.detection.families import family_of, family_of_state
from pipeline.detection.model import build_model, detector_config
from pipeline.files import atomic_folder, write_json
from pipeline.masking import masked
from pipeline.params import Params
from pipeline.runs import git_state
from pipeline.weights.fetch import checked_digest, local_file
from pipeline.weights.safe_load import load_safely, state_dict_of

CONFUSION = "confusion_sum"  # what an FCBL keeps
# mmdet spells one category of LVIS v0.5 and v1 otherwise than LVIS's own files do.
MMDET_SPELLING = {"speaker_(stereo_equipment)": "speaker_(stero_equipment)"}
LVIS_SIZES = "; LVIS v1 has 1203, v0.5 has 1230"
NAMED = 3  # arrays in a message


@dataclass
class Checkpoint:
    """A file's arrays under our names, its class names if it has any, and what wrote it."""

    state: dict[str, torch.Tensor]
    classes: list[str] | None
    origin: str
    translated: list[str] = field(default_factory=list)


def import_checkpoint(params: Params, name: str) -> None:
    """Write ``models/<name>/`` from ``pretrained.<name>``; ``ValueError`` where it does not fit."""
    block, key = params.pretrained[name], f"pretrained.{name}"
    path = local_file(block.weights, f"{key}.weights")
    digest = checked_digest(path, block.sha256, f"{key}.sha256")
    checkpoint = read_checkpoint(path, f"{key}.weights")
    config = model_config(params, block)
    check_family(checkpoint, config.model, path)
    check_classes(checkpoint, params, config.model, path)
    check_loss(checkpoint, block.loss.type, key)
    boxes = family_of(config.model).adopt(
        config.model, checkpoint.state, len(config.metainfo["classes"])
    )
    state = fill(config.model, checkpoint, path, key)
    print("\n".join(summary(checkpoint, path, config, boxes, state)), flush=True)
    with atomic_folder(Path("models", name)) as out:
        torch.save(state, out / "weights.pth")
        config.dump(out / "config.py")
        write_class_weights(state, len(categories(params)), out)
        write_json(out / "environment.json", origin(name, block, digest, checkpoint))


def read_checkpoint(path: Path, key: str) -> Checkpoint:
    content = load_safely(path, key)
    state = state_dict_of(content)
    try:
        translated = family_of_state(state).TRANSLATED
    except ValueError as error:
        raise ValueError(
            f"{key}: {path} {error}, so it is no detector of mmdet 2.x or 3.x that we know; it has "
            f"{some(state) or 'no arrays'}"
        ) from None
    meta = content.get("meta") if isinstance(content.get("meta"), dict) else {}
    ours = {translated.get(name, name): value for name, value in state.items()}
    return Checkpoint(
        state=ours,
        classes=class_names(meta) or classes_beside(path),
        origin=f"mmdet {meta['mmdet_version']}" if "mmdet_version" in meta else "state dict",
        translated=[name for name in state if name in translated],
    )


def class_names(meta) -> list[str] | None:
    """``meta.CLASSES`` of mmdet 2.x, ``meta.dataset_meta.classes`` of 3.x."""
    later = meta.get("dataset_meta")
    later = later if isinstance(later, dict) else {}
    names = meta.get("CLASSES") or later.get("classes") or later.get("CLASSES")
    return list(names) if isinstance(names, (list, tuple)) else None


def classes_beside(path) -> list[str] | None:
    """Of the ``config.py`` beside our own ``weights.pth``; it is read and not run."""
    config = path.with_name("config.py")
    if not config.is_file():
        return None
    for line in ast.parse(config.read_text(encoding="utf-8")).body:
        if isinstance(line, ast.Assign) and getattr(line.targets[0], "id", "") == "metainfo":
            entries = {k.arg: k.value for k in getattr(line.value, "keywords", ())}
            return list(ast.literal_eval(entries["classes"])) if "classes" in entries else None
    return None


def check_family(checkpoint, model, path):
    found, wanted = family_of_state(checkpoint.state), family_of(model)
    if found is not wanted:
        raise ValueError(
            f"{path} is of a {found.NAME} detector, detector.config is a {wanted.NAME} one"
        )


def check_classes(checkpoint, params, model, path):
    """The data's classes, as many and in the same order."""
    wanted = [category["name"] for category in categories(params)]
    data = f"data/{params.data.name}"
    family = family_of(model)
    loss = MODELS.build(family.loss_config(model))
    count = family.columns(checkpoint.state) - loss.extra_columns
    if count != len(wanted):
        sizes = LVIS_SIZES if {count, len(wanted)} & {1203, 1230} else ""
        raise ValueError(
            f"{path} scores {count} classes (and background), {data} has {len(wanted)}{sizes}"
        )
    if checkpoint.classes is None:
        print(
            f"warning: {path} names no classes; that their order is that of {data} is not checked",
            flush=True,
        )
        return
    found = [MMDET_SPELLING.get(name, name) for name in checkpoint.classes]
    same = [MMDET_SPELLING.get(name, name) for name in wanted]
    if found != same:
        raise ValueError(
            f"{path} was trained on other classes than those of {data}, or in another order"
            f"{first_difference(found, same) or f': it names {len(found)}'}"
        )


def check_loss(checkpoint, loss, key):
    if loss == "cross_entropy" and any(name.endswith(CONFUSION) for name in checkpoint.state):
        raise ValueError(
            f"{key}.loss.type is cross_entropy, but the file holds FCBL's confusion matrix: its "
            "scores are sigmoids; set it to fcbl"
        )


def model_config(params, block):
    """The params' detector, as the method that made the file would train it."""
    init_default_scope("mmdet")
    config = detector_config(params)
    config.model = build_model(params, block, config.model)
    config.metainfo = dict(classes=[category["name"] for category in categories(params)])
    return config


def fill(model, checkpoint, path, key) -> dict[str, torch.Tensor]:
    """The whole state of ``model``, every array from the file."""
    own = MODELS.build({**model, "backbone": {**model["backbone"], "init_cfg": None}}).state_dict()
    filled = {name: fitted(checkpoint.state.get(name), value) for name, value in own.items()}
    missing = [
        name for name, value in filled.items()
        if value is None and not name.endswith("num_batches_tracked")
    ]  # fmt: skip
    if missing:
        raise ValueError(
            f"{path} does not fill the detector of detector.config; {len(missing)} of {len(own)} "
            f"arrays: {', '.join(misfit(n, checkpoint.state, own) for n in missing[:NAMED])}"
            f"{hint(missing, key)}"
        )
    return {name: own[name] if value is None else value for name, value in filled.items()}


def fitted(value, own):
    """``value`` with the shape and type of ``own``; None where it has another shape.

    [C, 1] is taken for [C]; counts become true where a flag is wanted.
    """
    if value is None:
        return None
    if value.dim() == own.dim() + 1 and value.shape[-1] == 1:
        value = value.squeeze(-1)
    if value.shape != own.shape:
        return None
    value = value > 0 if own.dtype == torch.bool else value.to(own.dtype)
    return value.detach().clone()


def misfit(name, state, own):
    if name not in state:
        return f"{name} is missing"
    return f"{name} is {list(state[name].shape)} instead of {list(own[name].shape)}"


def hint(missing, key):
    if any(name.endswith(CONFUSION) for name in missing):
        return f"; a file that FCBL did not train: set {key}.loss.type to what did"
    return ""


def summary(checkpoint, path, config, boxes, state):
    """What was recognised, converted and left out."""
    yield f"{path}: {checkpoint.origin}, {len(checkpoint.state)} arrays"
    checked = "in the order of the data" if checkpoint.classes else "order not checked"
    yield f"recognised: {len(config.metainfo['classes'])} classes, {checked}; {boxes} boxes"
    yield f"converted: {', '.join(checkpoint.translated) or 'nothing'}"
    left = [name for name in checkpoint.state if name not in state]
    yield f"left out, the model has no use for it: {', '.join(left) or 'nothing'}"


def origin(name, block, digest, checkpoint) -> dict:
    """``environment.json``: where it is from; what its training cost is unknown."""
    now = datetime.now(timezone.utc)
    return {
        "stage": "import_checkpoint",
        "name": name,
        "started": now.isoformat(timespec="seconds"),
        "source": masked(block.weights),
        "sha256": digest,
        "origin": checkpoint.origin,
        "class_order_checked": checkpoint.classes is not None,
        "git_commit": git_state.commit(),
        "git_dirty": git_state.is_dirty(),
    }


def some(state):
    return ", ".join(list(state)[:NAMED])
