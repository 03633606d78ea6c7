"""``detector.weights`` -> the backbone that training starts from."""

from pathlib import Path

import torch
from mmdet.models.backbones.swin import swin_converter
from mmdet.registry import MODELS
from mmengine.config import ConfigDict

from pipeline.files import atomic_path
from pipeline.weights.fetch import local_file
from pipeline.weights.safe_load import load_safely, state_dict_of

KEY = "detector.weights"
PREFIX = "backbone."


def initialised_from(weights: str, backbone: dict, folder: Path) -> dict:
    """``backbone``, a config, with which mmengine initialises it from ``weights``.

    The arrays go to ``folder``/backbone.pth under the backbone's own names, and mmengine loads
    that: it would unpickle the original without limits, and knows neither Swin's layout nor a
    whole detector's.
    """
    state = check_backbone(weights, backbone)
    with atomic_path(folder / "backbone.pth") as temporary:
        torch.save({"state_dict": {PREFIX + name: v for name, v in state.items()}}, temporary)
    checkpoint = str(folder / "backbone.pth")
    # SwinTransformer reads it as an attribute
    source = ConfigDict(type="Pretrained", checkpoint=checkpoint, prefix=PREFIX)
    converted = {"convert_weights": False} if "convert_weights" in backbone else {}
    return {**backbone, **converted, "init_cfg": source}


def check_backbone(weights: str, config: dict) -> dict[str, torch.Tensor]:
    """The arrays of ``weights``; ``ValueError`` where none fits the backbone of ``config``.

    mmengine would only log the names that it skips, and train from random weights.
    """
    state = own_names(state_dict_of(load_safely(local_file(weights, KEY), KEY)), config)
    own = MODELS.build({**config, "init_cfg": None}).state_dict()
    fitting = [k for k, value in own.items() if k in state and state[k].shape == value.shape]
    print(f"backbone: {len(fitting)} of {len(own)} arrays from {weights}", flush=True)
    if not fitting:
        raise ValueError(
            f"{KEY} {weights} holds no array that fits the backbone; it takes names like "
            f"{next(iter(own))!r}, the file has {next(iter(state), None)!r}"
        )
    return state


def own_names(state, config):
    """The names that the backbone itself uses: of Swin's authors' file, or of a detector's."""
    if config.get("convert_weights") and any(key.startswith("layers.") for key in state):
        state = swin_converter(state)
    inside = {k.removeprefix(PREFIX): v for k, v in state.items() if k.startswith(PREFIX)}
    return inside or state
