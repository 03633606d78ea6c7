"""Foreground classification balance loss (``BACL:mmdet/models/losses/fcbl.py``).

Binary cross entropy over C + 1 sigmoids in which foreground rows get, towards every other class,

- a pairwise *margin* from how often the two classes have been taken for one another so far (the
  long-term indicator, a running confusion matrix), and
- a *weight* of 0 where that class already scores low in this row (the short-term indicator).

Background rows and the background column are left as they are.
"""

from typing import Annotated

import torch
from mmdet.registry import MODELS

from pipeline.params.limits import within

from ..confusion import ConfusionMatrix
from ..scoring import (
    SigmoidWithBackground,
    full_precision,
    mean_over_rows,
    one_hot,
    row_bce,
)

# Added to the logit of a class that is not the row's, it leaves a loss and a gradient of exactly 0.
NO_LOSS = -1e6


@MODELS.register_module(name="fcbl")
class FCBL(ConfusionMatrix, SigmoidWithBackground):
    """FCBL; ``margin=False, weight=False`` is plain BCE that still keeps the confusion matrix.

    Args:
        num_classes: C, without background.
        alpha: scale of the margin.
        prob_thr: a class scoring at least this keeps its weight, whatever the row's own class does.
        margin, weight: switch the two parts off for ablations.
        weight_start_epoch: the weight acts from this epoch on (from 0, told by ``set_epoch``).

    The foreground is picked out, which waits for the device once, as mmdet's box head has just done
    for the same labels; all else here costs what the foreground rows cost, beyond plain BCE.
    """

    block = {"prior": 0.001}
    needs = {"alpha": "margin", "prob_thr": "weight", "weight_start_epoch": "weight"}

    def __init__(
        self,
        num_classes,
        alpha: Annotated[float, within(0)] = 0.85,
        prob_thr: Annotated[float, within(0, 1)] = 0.7,
        margin: bool = True,
        weight: bool = True,
        weight_start_epoch: Annotated[int, within(0)] = 0,
    ):
        super().__init__(num_classes)
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
        """The loss of this batch; afterwards the batch, from all ranks, joins the confusion matrix.

        (Within ``step_statistics.one_step`` it joins at the end of the step.)

        A row whose ``weight`` is 0 counts for nothing: not in the mean, not in the confusion.
        Every rank must call this as often as the others, with or without foreground rows.
        """
        self.check_call(cls_score, reduction_override)
        with full_precision(cls_score) as logits:
            foreground = self.foreground(label, weight)
            own, own_label = logits.detach().index_select(0, foreground), label[foreground]
            shifted = logits.index_add(0, foreground, self.shifts(own, own_label))
            rows = row_bce(shifted, one_hot(logits, label))
            self.record_confusion(own[:, :-1], own_label)
            return mean_over_rows(rows, weight, avg_factor)

    def shifts(self, logits, label):
        """[P, C + 1]: what margin and weight add to the foreground rows ``logits`` [P, C + 1]."""
        shifts = torch.zeros_like(logits)
        classes = shifts[:, :-1]
        if self.margin:
            classes.add_(self.pair_margins(label), alpha=self.alpha)
        if self.weight_active:
            classes.add_(self.dropped_pairs(logits, label), alpha=NO_LOSS)
        return shifts

    def dropped_pairs(self, logits, label):
        """[P, C]: which classes weigh nothing in each row."""
        scores = self.get_activation(logits)[:, :-1]
        return scores < scores.gather(1, label[:, None]).clamp(max=self.prob_thr)
