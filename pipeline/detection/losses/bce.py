"""Binary cross entropy over C + 1 independent sigmoids, background included."""

from mmdet.registry import MODELS

from ..scoring import SigmoidWithBackground, full_precision, mean_over_rows, one_hot, row_bce


@MODELS.register_module(name="bce")
class BCE(SigmoidWithBackground):
    """The representation stage's loss (``BACL:mmdet/models/losses/bce.py``)."""

    block = {"prior": 0.001}

    def forward(self, cls_score, label, weight=None, avg_factor=None, reduction_override=None):
        """Sum over the C + 1 classes, mean over the rows; see ``mean_over_rows``."""
        self.check_call(cls_score, reduction_override)
        with full_precision(cls_score) as logits:
            return mean_over_rows(row_bce(logits, one_hot(logits, label)), weight, avg_factor)
