"""Softmax cross entropy over C + 1 classes: the published baseline, mmdet's own implementation."""

from mmdet.models.losses import CrossEntropyLoss
from mmdet.registry import MODELS

from ..scoring import ClassificationLoss


@MODELS.register_module(name="cross_entropy")
class CrossEntropy(ClassificationLoss, CrossEntropyLoss):
    """mmdet's softmax loss; scores are the softmax."""

    def get_activation(self, cls_score):
        """Scores [N, C + 1] at inference."""
        return cls_score.softmax(dim=-1)
