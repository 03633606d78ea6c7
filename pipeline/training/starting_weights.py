"""Which weights a training starts from: its own checkpoint, another method's, or a backbone's."""

from dataclasses import dataclass
from pathlib import Path

import torch

from pipeline.compute.checkpoints import newest_checkpoint
from pipeline.detection.families import family_of, layers
from pipeline.params import Classifier
from pipeline.training.backbone import initialised_from


@dataclass(frozen=True)
class Start:
    """``file``: weights of the whole detector, or None; ``resume``: whether it is a checkpoint of
    this very run; ``backbone``: the backbone's config, which may name weights of its own."""

    file: str | None
    resume: bool
    backbone: dict


def find_start(backbone: dict, params, name: str, folder: Path, weights: Path | None) -> Start:
    """``weights``: of the method that ``name`` starts from."""
    if checkpoint := newest_checkpoint(folder):
        print(f"resuming {name} from {checkpoint}", flush=True)
        return Start(str(checkpoint), True, backbone)
    if weights:
        return Start(str(weights), False, backbone)
    if params.detector.weights:
        backbone = initialised_from(params.detector.weights, backbone, folder)
    return Start(None, False, backbone)


def taken_over(weights: str, model, name: str, block: Classifier, folder: Path) -> str:
    """``weights``, or a copy in ``folder`` without what the classifier ``name`` starts afresh.

    That is the layers of ``reinit``, and the statistics of loss and features, which start at zero
    as in the official second stage. ``ValueError`` where an array that is left has another shape
    than in ``model``, which mmengine would only log.
    """
    state = torch.load(weights, map_location="cpu", weights_only=True)
    afresh = (*family_of(model).STATISTICS, *prefixes(model, block.reinit))
    kept = {key: value for key, value in state.items() if not key.startswith(afresh)}
    check_shapes(kept, model, weights, name)
    if len(kept) == len(state):
        return weights
    torch.save(kept, folder / "start.pth")
    return str(folder / "start.pth")


def prefixes(model, names) -> list[str]:
    """What the arrays of these layers begin with in a state dict."""
    modules = {layers(model)[name] for name in names}
    return [f"{path}." for path, module in model.named_modules() if module in modules]


def check_shapes(state, model, weights, name):
    for key, own in model.state_dict().items():
        if key in state and state[key].shape != own.shape:
            found, wanted = list(state[key].shape), list(own.shape)
            raise ValueError(
                f"{key} is {found} in {weights}, and {name} needs {wanted}; name its layer in "
                f"classifier.{name}.reinit (and train), and it starts afresh"
            )
