"""What a classification loss tells its head, and the arithmetic that losses share."""

import math
from contextlib import contextmanager

import torch
from mmdet.models.losses import accuracy
from mmdet.registry import MODELS
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, pad, softplus


class ClassificationLoss(nn.Module):
    """Base of all losses: what mmdet's heads ask a loss about width, scores and accuracy.

    A loss has ``extra_columns`` beside the C classes' own, and ``get_activation``, whose scores are
    [N, C + 1] with background (or 0) last. ``families``: the detectors it works in, where not all.
    """

    # mmdet takes the width and the scores at test time from the first, what it logs and refines
    # with while training from the others
    custom_cls_channels = True
    custom_activation = True
    custom_accuracy = True

    extra_columns = 1
    families = ()

    def __init__(self, num_classes):
        super().__init__()
        self.num_classes = num_classes

    def get_cls_channels(self, num_classes):
        """Columns of the logits; ``ValueError`` where head and loss disagree on the classes."""
        if num_classes != self.num_classes:
            raise ValueError(
                f"the loss has num_classes={self.num_classes}, its head {num_classes}; give both "
                "the number of categories, without background"
            )
        return num_classes + self.extra_columns

    def get_accuracy(self, cls_score, labels):
        """Percent of rows whose largest logit (with other columns: score) is their label's."""
        ranked = cls_score if self.extra_columns == 1 else self.get_activation(cls_score)
        return {"acc": accuracy(ranked, labels)}

    def check_call(self, cls_score, reduction_override):
        if reduction_override not in (None, "mean"):
            raise ValueError(f"reduction {reduction_override!r} is not available; use 'mean'")
        width = self.get_cls_channels(self.num_classes)
        if cls_score.shape[1] != width:
            raise ValueError(
                f"{cls_score.shape[1]} classification channels for num_classes="
                f"{self.num_classes}; {type_of(self)} expects {width}"
            )


class SigmoidWithBackground(ClassificationLoss):
    """Base of losses over C + 1 sigmoids, whose score of class c is p_c (1 - p_background)."""

    def get_activation(self, cls_score):
        """Scores [N, C + 1] at inference: p_c (1 - p_background), and p_background last."""
        logits = at_least_float32(cls_score)
        # sigmoid(-x) is 1 - sigmoid(x) without losing a confident background's last digits
        foreground = logits[:, :-1].sigmoid() * (-logits[:, -1:]).sigmoid()
        return torch.cat([foreground, logits[:, -1:].sigmoid()], dim=1)


class SigmoidWithoutBackground(ClassificationLoss):
    """Base of losses over C sigmoids: background is where all of them are low."""

    extra_columns = 0

    def get_activation(self, cls_score):
        """Scores [N, C + 1] at inference: p_c, and 0 for background."""
        return pad(at_least_float32(cls_score).sigmoid(), (0, 1))


def set_up_scores(head, family, calibration=None):
    """``head`` takes its scores from its loss, or at test time from ``calibration``, a config.

    ``ValueError`` where the loss does not work in a head of ``family``.
    """
    check_loss(head.loss_cls, family)
    if calibration:
        head.calibration = MODELS.build(calibration)
        # what mmdet asks for scores; the loss itself stays, for the width
        head.loss_cls.get_activation = head.calibration.get_activation


def set_prior(layer, prior):
    """Start ``layer`` with the sigmoid score ``prior`` in all outputs; None leaves it."""
    if prior is not None:
        nn.init.constant_(layer.bias, math.log(prior / (1 - prior)))


def with_parts(values):
    """``loss_cls``, the sum of all keys with ``loss``; each is logged without that word, since
    mmdet would add it again."""
    parts = {key: value for key, value in values.items() if "loss" in key}
    named = {key.replace("loss_", ""): value.detach() for key, value in parts.items()}
    return {**named, "loss_cls": sum(parts.values())}


def check_loss(loss, family):
    for flag, method in (
        ("custom_cls_channels", "get_cls_channels"),
        ("custom_activation", "get_activation"),
        ("custom_activation", "get_accuracy"),
    ):
        if not (getattr(loss, flag, False) and hasattr(loss, method)):
            raise ValueError(
                f"loss.type is {type_of(loss)}, which lacks {flag} or {method}: mmdet would score "
                "and train with different activations; derive it from ClassificationLoss"
            )
    known = getattr(loss, "families", ())
    if known and family not in known:
        raise ValueError(
            f"loss.type is {type_of(loss)}, which works in {', '.join(known)} detectors; "
            f"detector.config is a {family} one"
        )


def type_of(part):
    """Its ``type`` in params.yaml: the name of the file it stands in."""
    return type(part).__module__.rpartition(".")[2]


@contextmanager
def full_precision(cls_score):
    """Give the logits in float32 (float64 stays) and switch autocast off."""
    with torch.autocast(cls_score.device.type, enabled=False):
        yield at_least_float32(cls_score)


def at_least_float32(tensor):
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def one_hot(logits, label):
    """Like ``logits`` [N, W], 1 at the label; a row whose label is W has none."""
    width = logits.shape[1]
    wide = logits.new_zeros(len(logits), width + 1).scatter_(1, label[:, None], 1.0)
    return wide[:, :width]


def counted_rows(label, weight):
    """[N]: which rows are there; one of weight 0 is as if it were not."""
    return torch.ones_like(label, dtype=torch.bool) if weight is None else weight > 0


def count_positives(label, weight, num_classes):
    """Counted rows that are not background, at least 1."""
    return ((label < num_classes) & counted_rows(label, weight)).sum().clamp(min=1)


def row_bce(logits, target, weight=None):
    """[N]: binary cross entropy summed over the classes, each times its ``weight[N, W]``."""
    return binary_cross_entropy_with_logits(logits, target, weight, reduction="none").sum(dim=1)


def row_focal(logits, target, gamma, alpha, weight=None):
    """[N]: focal loss summed over the classes, each times its ``weight[N, W]``.

    ``alpha`` weighs the targets of 1, 1 - alpha those of 0; (1 - p_t)^``gamma`` modulates.
    """
    away = logits * (1 - 2 * target)  # the logit of not being right
    terms = away.sigmoid() ** gamma * softplus(away)
    terms = terms * (alpha * target + (1 - alpha) * (1 - target))
    return (terms if weight is None else terms * weight).sum(dim=1)


def mean_over_rows(row_loss, weight=None, avg_factor=None):
    """Weighted mean of ``row_loss[N]``.

    Args:
        weight: [N] or None for ones.
        avg_factor: the divisor; None: the number of rows whose weight is not 0, at least 1.
    """
    weight = torch.ones_like(row_loss) if weight is None else weight
    divisor = (weight > 0).sum().clamp(min=1) if avg_factor is None else avg_factor
    return (row_loss * weight).sum() / divisor
