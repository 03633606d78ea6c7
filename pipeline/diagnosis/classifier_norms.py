"""The length of each class's weight vector in a trained classifier: what long tails bend first."""

from pathlib import Path

import torch

WEIGHT, BIAS = "roi_head.bbox_head.fc_cls.weight", "roi_head.bbox_head.fc_cls.bias"


def classifier_norms(weights: Path, classes: int) -> tuple[list[float], list[float]]:
    """Norm and bias of each class of ``fc_cls``, without background, in the model's order."""
    state = torch.load(weights, map_location="cpu", weights_only=True, mmap=True)
    norms = state[WEIGHT][:classes].float().norm(dim=1)
    return norms.tolist(), state[BIAS][:classes].float().tolist()
