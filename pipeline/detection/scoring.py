"""Sigmoid classification with a background class: scores, and the arithmetic its losses share."""

from contextlib import contextmanager

import torch
from mmdet.models.losses import accuracy
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits


class SigmoidWithBackground(nn.Module):
    """Base of losses over C + 1 sigmoids, whose score of class c is p_c (1 - p_background).

    The attributes and methods are those by which mmdet's ``BBoxHead`` takes its width, its test
    activation and its logged accuracy from the loss.
    """

    custom_cls_channels = True
    custom_activation = True
    custom_accuracy = True

    def __init__(self, num_classes):
        super().__init__()
        self.num_classes = num_classes

    def get_cls_channels(self, num_classes):
        """Width of ``fc_cls``; ``ValueError`` where head and loss disagree on the classes."""
        if num_classes != self.num_classes:
            raise ValueError(
                f"the loss has num_classes={self.num_classes}, its head {num_classes}; give both "
                "the number of categories, without background"
            )
        return num_classes + 1

    def get_activation(self, cls_score):
        """Scores [N, C + 1] at inference: p_c (1 - p_background), and p_background last."""
        logits = at_least_float32(cls_score)
        # sigmoid(-x) is 1 - sigmoid(x) without losing a confident background's last digits
        foreground = logits[:, :-1].sigmoid() * (-logits[:, -1:]).sigmoid()
        return torch.cat([foreground, logits[:, -1:].sigmoid()], dim=1)

    def get_accuracy(self, cls_score, labels):
        """Percent of rows whose largest logit is their label's."""
        return {"acc": accuracy(cls_score, labels)}

    def check_call(self, cls_score, reduction_override):
        if reduction_override not in (None, "mean"):
            raise ValueError(f"reduction {reduction_override!r} is not available; use 'mean'")
        if cls_score.shape[1] != self.num_classes + 1:
            raise ValueError(
                f"{cls_score.shape[1]} classification channels for num_classes="
                f"{self.num_classes}; expected {self.num_classes + 1} (background is the last)"
            )


@contextmanager
def full_precision(cls_score):
    """Give the logits in float32 (float64 stays) and switch autocast off."""
    with torch.autocast(cls_score.device.type, enabled=False):
        yield at_least_float32(cls_score)


def at_least_float32(tensor):
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def one_hot(logits, label):
    return torch.zeros_like(logits).scatter_(1, label[:, None], 1.0)


def row_bce(logits, target, weight=None):
    """[N]: binary cross entropy summed over the classes, each times its ``weight[N, C + 1]``."""
    return binary_cross_entropy_with_logits(logits, target, weight, reduction="none").sum(dim=1)


def mean_over_rows(row_loss, weight=None, avg_factor=None):
    """Weighted mean of ``row_loss[N]``.

    Args:
        weight: [N] or None for ones.
        avg_factor: the divisor; None: the number of rows whose weight is not 0, at least 1.
    """
    weight = torch.ones_like(row_loss) if weight is None else weight
    divisor = (weight > 0).sum().clamp(min=1) if avg_factor is None else avg_factor
    return (row_loss * weight).sum() / divisor
