"""What must hold before a training starts, or a model predicts."""

from pathlib import Path
from pickle import UnpicklingError

from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.runner import CheckpointLoader

from pipeline.params import Params
from pipeline.training.recipe import categories


def check_start(params: Params, folder: Path) -> None:
    """``ValueError`` where ``folder`` holds no complete model, or one for other categories."""
    for name in ("weights.pth", "config.py"):
        if not (folder / name).is_file():
            raise ValueError(f"{folder / name} is missing; run `{remedy(params, folder.name)}`")
    trained = list(Config.fromfile(folder / "config.py").metainfo.classes)
    wanted = [category["name"] for category in categories(params)]
    if trained != wanted:
        raise ValueError(
            f"{folder} was trained on {len(trained)} categories, data/{params.data.name} has "
            f"{len(wanted)}{first_difference(trained, wanted)}; "
            f"run `{remedy(params, folder.name)}`"
        )


def check_weights_file(weights: str | None) -> None:
    """``ValueError`` where ``detector.weights`` is a path (and not a URL) to no file."""
    if weights and "://" not in weights and not Path(weights).is_file():
        raise ValueError(f"detector.weights is {weights!r}, which is no file; null starts afresh")


def check_backbone(weights: str, config: dict) -> None:
    """``ValueError`` where ``weights`` holds nothing that fits the backbone ``config`` describes.

    mmengine would only log the names that it skips, and train from random weights.
    """
    try:
        state = CheckpointLoader.load_checkpoint(weights, map_location="cpu")
    except (OSError, RuntimeError, EOFError, ImportError, UnpicklingError) as error:
        raise ValueError(f"detector.weights {weights} cannot be read: {one_line(error)}") from None
    state = state.get("state_dict", state) if isinstance(state, dict) else {}
    own = MODELS.build({**config, "init_cfg": None}).state_dict()
    fitting = [k for k, value in own.items() if k in state and state[k].shape == value.shape]
    print(f"backbone: {len(fitting)} of {len(own)} arrays from {weights}", flush=True)
    if not fitting:
        raise ValueError(
            f"detector.weights {weights} holds no array that fits the backbone; it takes names "
            f"like {next(iter(own))!r}, the file has {next(iter(state), None)!r}"
        )


def one_line(error):
    return " ".join(str(error).split())[:200]


def remedy(params, name):
    kind = "representation" if name in params.representation else "classifier"
    return f"dvc repro train_{kind}@{name}"


def first_difference(trained, wanted):
    for label, (one, other) in enumerate(zip(trained, wanted, strict=False)):
        if one != other:
            return f" (label {label} is {one!r} there, {other!r} here)"
    return ""
