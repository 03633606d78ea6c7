"""How often one class has been taken for another so far: FCBL's long-term indicator."""

import torch
from torch.nn.functional import pad

from .step_statistics import StepStatistics

CONFUSION_FLOOR = 1e-3


class ConfusionMatrix(StepStatistics):
    """A loss that keeps the running confusion matrix of the rows it sees, over all ranks."""

    def start_confusion(self, num_classes):
        self.register_buffer("confusion_sum", torch.zeros(num_classes, num_classes))
        self.register_buffer("class_count", torch.zeros(num_classes))

    def confusion(self):
        """[C, C]: row i is the mean softmax, over the C classes, of all rows of class i so far."""
        return self.confusion_sum / self.class_count.clamp(min=1)[:, None]

    def pair_margins(self):
        """[C, C]: ln(confusion[i, j] / confusion[j, i]), both at least ``CONFUSION_FLOOR``."""
        log_confusion = self.confusion().clamp(min=CONFUSION_FLOOR).log()
        return log_confusion - log_confusion.t()

    @torch.no_grad()
    def update(self, logits, label, counted):
        """Add the softmax over the C classes of the foreground rows that are ``counted`` [N]."""
        classes = len(self.class_count)
        # the last column counts the rows
        rows = pad(logits[:, :classes].softmax(dim=1), (0, 1), value=1.0) * counted[:, None]
        batch = self.confusion_sum.new_zeros(classes + 1, classes + 1)
        batch.index_add_(0, label, rows.to(batch.dtype))
        foreground = batch[:classes]
        self.confusion_sum += foreground[:, :classes]
        self.class_count += foreground[:, classes]
