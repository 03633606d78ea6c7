"""Foreground classification balance loss (``BACL:mmdet/models/losses/fcbl.py``).

Binary cross entropy over C + 1 sigmoids in which foreground rows get, towards every other class,

- a pairwise *margin* from how often the two classes have been taken for one another so far (the
  long-term indicator, a running confusion matrix), and
- a *weight* of 0 where that class already scores low in this row (the short-term indicator).

Background rows and the background column are left as they are.
"""

from typing import Annotated

from mmdet.registry import MODELS
from torch.nn.functional import pad

from pipeline.params.limits import within

from ..confusion import ConfusionMatrix
from ..scoring import (
    SigmoidWithBackground,
    counted_rows,
    full_precision,
    mean_over_rows,
    one_hot,
    row_bce,
)


@MODELS.register_module(name="fcbl")
class FCBL(ConfusionMatrix, SigmoidWithBackground):
    """FCBL; ``margin=False, weight=False`` is plain BCE that still keeps the confusion matrix.

    Args:
        num_classes: C, without background.
        alpha: scale of the margin.
        prob_thr: a class scoring at least this keeps its weight, whatever the row's own class does.
        margin, weight: switch the two parts off for ablations.
        weight_start_epoch: the weight acts from this epoch on (from 0, told by ``set_epoch``).

    Nothing here waits for the device: no Python branch depends on a tensor's values.
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
            shifted = logits + self.margins(label).to(logits.dtype) if self.margin else logits
            keep = self.kept_pairs(logits.detach(), label) if self.weight_active else None
            rows = row_bce(shifted, one_hot(logits, label), keep)
            self.record(logits.detach(), label, counted_rows(label, weight))
            return mean_over_rows(rows, weight, avg_factor)

    def margins(self, label):
        """[N, C + 1]: alpha ln(confusion[i, j] / confusion[j, i]) for class i; 0 for background."""
        pairs = self.alpha * self.pair_margins()
        return pad(pairs, (0, 1, 0, 1)).index_select(0, label)

    def kept_pairs(self, logits, label):
        """[N, C + 1] of 0 and 1: which classes still weigh in each row."""
        scores = self.get_activation(logits)
        keep = (scores >= scores.gather(1, label[:, None])) | (scores >= self.prob_thr)
        keep |= (label == self.num_classes)[:, None]
        keep[:, -1].fill_(True)
        return keep.to(logits.dtype)
