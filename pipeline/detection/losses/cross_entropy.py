"""Softmax cross entropy over C + 1 classes: the published baseline, mmdet's own implementation."""

from mmdet.models.losses import CrossEntropyLoss
from mmdet.registry import MODELS


@MODELS.register_module(name="cross_entropy")
class CrossEntropy(CrossEntropyLoss):
    """mmdet's softmax loss; it takes ``num_classes``, as every loss does, and needs none."""

    def __init__(self, num_classes):
        super().__init__(use_sigmoid=False)
