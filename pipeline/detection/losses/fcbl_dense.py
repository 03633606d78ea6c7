"""Foreground classification balance loss for a dense head, which has no background column.

Our generalisation of FCBL (``fcbl.py``), following its authors' words that only foreground is
corrected, and only on foreground samples [Tianhao-Qi/BACL, issues 3 and 5]: positives get FCBL's
margin and weight, from sigmoids alone; negatives keep the focal loss of all classes. The focal
factor of a shifted logit is that of the shifted one.
"""

from typing import Annotated

from mmdet.registry import MODELS

from pipeline.params.limits import within

from ..confusion import ConfusionMatrix
from ..scoring import (
    SigmoidWithoutBackground,
    full_precision,
    mean_over_rows,
    one_hot,
    row_focal,
)


@MODELS.register_module(name="fcbl_dense")
class DenseFCBL(ConfusionMatrix, SigmoidWithoutBackground):
    """FCBL on focal loss; ``margin=False, weight=False`` is focal loss that keeps the confusion.

    Args:
        num_classes: C.
        gamma, alpha_focal: of the focal loss, as in ``focal``.
        alpha: scale of the margin.
        prob_thr: a class scoring at least this keeps its weight, whatever the row's own class does.
        margin, weight: switch the two parts off for ablations.
        weight_start_epoch: the weight acts from this epoch on (from 0, told by ``set_epoch``).

    The positives are picked out, which waits for the device, as a dense head does anyway: of LVIS's
    200,000 anchors times 1,203 classes an image, the rest is no matter of this loss.
    """

    block = {"prior": 0.01}
    needs = {"alpha": "margin", "prob_thr": "weight", "weight_start_epoch": "weight"}
    families = ("one_stage",)

    def __init__(
        self,
        num_classes,
        gamma: Annotated[float, within(0)] = 2.0,
        alpha_focal: Annotated[float, within(0, 1)] = 0.25,
        alpha: Annotated[float, within(0)] = 0.85,
        prob_thr: Annotated[float, within(0, 1)] = 0.7,
        margin: bool = True,
        weight: bool = True,
        weight_start_epoch: Annotated[int, within(0)] = 0,
    ):
        super().__init__(num_classes)
        self.gamma = gamma
        self.alpha_focal = alpha_focal
        self.alpha = alpha
        self.prob_thr = prob_thr
        self.margin = margin
        self.weight = weight
        self.weight_start_epoch = weight_start_epoch
        self.start_confusion(num_classes)
        self.set_epoch(0)

    def set_epoch(self, epoch):
        """Tell the running epoch, counted from 0."""
        self.weight_active = self.weight and epoch >= self.weight_start_epoch

    def forward(self, cls_score, label, weight=None, avg_factor=None, reduction_override=None):
        """Sum over the classes and rows / ``avg_factor``; None: the number of positives.

        A row of weight 0 is as if it were not there. Afterwards the positives, from all ranks, join
        the confusion matrix; within ``step_statistics.one_step`` those of all levels do so at once.
        """
        self.check_call(cls_score, reduction_override)
        with full_precision(cls_score) as logits:
            rows = row_focal(logits, one_hot(logits, label), self.gamma, self.alpha_focal)
            positive = self.foreground(label, weight)
            own, label = logits.index_select(0, positive), label[positive]
            rows = rows.index_copy(0, positive, self.positive_rows(own, label))
            self.record_confusion(own, label)
            if avg_factor is None:
                avg_factor = max(len(positive), 1)
            return mean_over_rows(rows, weight, avg_factor)

    def positive_rows(self, logits, label):
        """[P]: the loss of the positives ``logits`` [P, C]."""
        shifted = logits
        if self.margin:
            shifted = logits + self.alpha * self.pair_margins(label).to(logits.dtype)
        keep = self.kept_pairs(logits.detach(), label) if self.weight_active else None
        return row_focal(shifted, one_hot(logits, label), self.gamma, self.alpha_focal, keep)

    def kept_pairs(self, logits, label):
        """[P, C] of 0 and 1: which classes still weigh in each row."""
        scores = logits.sigmoid()
        keep = (scores >= scores.gather(1, label[:, None])) | (scores >= self.prob_thr)
        return keep.to(logits.dtype)
