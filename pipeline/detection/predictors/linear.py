"""A plain linear layer."""

from mmdet.registry import MODELS
from torch import nn


@MODELS.register_module(name="linear")
class Linear(nn.Linear):
    """Features [N, in_features] to logits [N, out_features]."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
