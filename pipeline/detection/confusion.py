"""How often one class has been taken for another so far: FCBL's long-term indicator."""

import torch

from .by_class import first_of_class, sums_at_first
from .scoring import counted_rows
from .step_statistics import StepStatistics

CONFUSION_FLOOR = 1e-3


class ConfusionMatrix(StepStatistics):
    """A loss that keeps the running confusion matrix of the rows it sees, over all ranks.

    The matrix is the one thing here of C x C numbers: a step reads and changes the rows and the
    columns of the classes that occur in it.
    """

    def start_confusion(self, num_classes):
        self.register_buffer("confusion_sum", torch.zeros(num_classes, num_classes))
        self.register_buffer("class_count", torch.zeros(num_classes))

    def confusion(self):
        """[C, C], a new matrix: row i is the mean softmax, over the C classes, of all rows of
        class i so far."""
        return self.confusion_sum / self.class_count.clamp(min=1)[:, None]

    def own_share(self):
        """[C]: the diagonal of ``confusion``."""
        return self.confusion_sum.diagonal() / self.class_count.clamp(min=1)

    def pair_margins(self, label):
        """[P, C]: ln(confusion[i, j] / confusion[j, i]) between the ``label`` i [P] of each row and
        every class j, both at least ``CONFUSION_FLOOR``."""
        count = self.class_count.clamp(min=1)
        forth = self.confusion_sum.index_select(0, label).div_(count[label][:, None])
        back = self.confusion_sum.index_select(1, label).div_(count[:, None]).t()
        return forth.clamp_(min=CONFUSION_FLOOR).div_(back.clamp_(min=CONFUSION_FLOOR)).log_()

    def foreground(self, label, weight):
        """Positions [P] of the foreground rows that count; this waits for the device once."""
        return ((label < self.num_classes) & counted_rows(label, weight)).nonzero()[:, 0]

    def record_confusion(self, logits, label):
        """``logits`` [P, C] and ``label`` [P] of foreground rows join the matrix."""
        self.record(logits.detach().softmax(dim=1), label)

    @torch.no_grad()
    def update(self, shares, label):
        """Add the ``shares`` [P, C] of each row, its softmax, to the row of its ``label`` [P]."""
        first = first_of_class(label, len(self.class_count))
        # summed before they are added: a class of millions of rows would lose single small ones
        totals = sums_at_first(shares.to(self.confusion_sum.dtype), first)
        self.confusion_sum.index_add_(0, label, totals)
        self.class_count.index_add_(0, label, torch.ones_like(label, dtype=self.class_count.dtype))
