"""The length of each class's weight vector in a trained classifier: what long tails bend first."""

from pathlib import Path

import torch

from pipeline.detection.families import family_of_state


def classifier_norms(weights: Path, classes: int) -> tuple[list[float], list[float]]:
    """Norm and bias of each class of ``fc_cls``, without background, in the model's order."""
    state = torch.load(weights, map_location="cpu", weights_only=True, mmap=True)
    weight, bias = family_of_state(state).classifier(state)
    return weight[:classes].float().norm(dim=1).tolist(), bias[:classes].float().tolist()
