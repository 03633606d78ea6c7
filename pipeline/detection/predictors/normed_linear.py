"""Cosine similarity times a temperature [mmdet:mmdet/models/layers/normed_predictor.py]."""

from typing import Annotated

from mmdet.models.layers import NormedLinear as Normed
from mmdet.registry import MODELS

from pipeline.params.limits import within


@MODELS.register_module(name="normed_linear")
class NormedLinear(Normed):
    """Features [N, in_features] to logits [N, out_features]; weight rows and features have length
    1, and the cosine is multiplied by ``temperature``."""

    def __init__(self, in_features, out_features, temperature: Annotated[float, within(0)] = 20.0):
        super().__init__(in_features, out_features, temperature=temperature)
