"""Focal loss over C sigmoids, without a background column [arXiv:1708.02002, eq. 5]."""

from typing import Annotated

from mmdet.registry import MODELS

from pipeline.params.limits import within

from ..scoring import (
    SigmoidWithoutBackground,
    count_positives,
    full_precision,
    mean_over_rows,
    one_hot,
    row_focal,
)


@MODELS.register_module(name="focal")
class Focal(SigmoidWithoutBackground):
    """The one-stage baseline, and what ``fcbl_dense`` starts from.

    Args:
        gamma: easy pairs weigh (1 - p_t)^gamma.
        alpha: weight of a row's own class; the other classes have 1 - alpha.
    """

    block = {"prior": 0.01}

    def __init__(
        self,
        num_classes,
        gamma: Annotated[float, within(0)] = 2.0,
        alpha: Annotated[float, within(0, 1)] = 0.25,
    ):
        super().__init__(num_classes)
        self.gamma = gamma
        self.alpha = alpha

    def forward(self, cls_score, label, weight=None, avg_factor=None, reduction_override=None):
        """Sum over the classes and rows / ``avg_factor``; None: the number of positives."""
        self.check_call(cls_score, reduction_override)
        with full_precision(cls_score) as logits:
            rows = row_focal(logits, one_hot(logits, label), self.gamma, self.alpha)
            if avg_factor is None:
                avg_factor = count_positives(label, weight, self.num_classes)
            return mean_over_rows(rows, weight, avg_factor)
