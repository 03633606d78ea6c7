"""Seesaw loss [arXiv:2008.10032; mmdet:mmdet/models/losses/seesaw_loss.py].

Two columns beside the C classes' tell foreground from background. Foreground rows have a softmax
over the C classes whose logit j is shifted, for a row of class i, by the logarithm of

- the *mitigation* (N_j / N_i)^p where class j has been seen less often than class i, and
- the *compensation* (p_j / p_i)^q where the row scores class j higher than its own.
"""

import math
from typing import Annotated

import torch
from mmdet.registry import MODELS
from torch.nn.functional import cross_entropy

from pipeline.params.limits import within

from ..scoring import (
    ClassificationLoss,
    at_least_float32,
    counted_rows,
    full_precision,
    mean_over_rows,
)
from ..step_statistics import StepStatistics


@MODELS.register_module(name="seesaw")
class Seesaw(StepStatistics, ClassificationLoss):
    """Two losses, of the classes and of objectness, both divided by the number of all rows.

    Args:
        num_classes: C.
        p, q: exponents of mitigation and compensation; 0 switches one off.
        eps: the least score of a row's own class that the compensation divides by.

    ``cum_samples`` [C + 1] counts the rows of each class so far, background last, over all ranks
    (the official one is each rank's own). Officially a step's own rows are among them. Within
    ``step_statistics.one_step`` they join at its end: a step may have several micro-batches, and
    the first cannot know the last one's rows.
    """

    block = {"predictor": {"type": "normed_linear", "temperature": 20.0}}
    extra_columns = 2

    def __init__(
        self,
        num_classes,
        p: Annotated[float, within(0)] = 0.8,
        q: Annotated[float, within(0)] = 2.0,
        eps: Annotated[float, within(1e-12, 1)] = 0.01,
    ):
        super().__init__(num_classes)
        self.p = p
        self.q = q
        self.eps = eps
        self.register_buffer("cum_samples", torch.zeros(num_classes + 1))

    def forward(self, cls_score, label, weight=None, avg_factor=None, reduction_override=None):
        """``loss_cls_classes`` and ``loss_cls_objectness``; a row of weight 0 is not there."""
        self.check_call(cls_score, reduction_override)
        self.record(label, counted_rows(label, weight))
        with full_precision(cls_score) as logits:
            classes, objectness = logits.split([self.num_classes, 2], dim=1)
            background = label == self.num_classes
            of_class = self.class_rows(classes, label.clamp(max=self.num_classes - 1))
            of_objectness = cross_entropy(objectness, background.long(), reduction="none")
            return {
                "loss_cls_classes": mean_over_rows(of_class * ~background, weight, avg_factor),
                "loss_cls_objectness": mean_over_rows(of_objectness, weight, avg_factor),
            }

    def class_rows(self, classes, label):
        """[N]: cross entropy of the shifted logits ``classes`` [N, C]."""
        shift = self.mitigation(label).to(classes.dtype)
        shift = shift + self.compensation(classes.detach(), label)
        return cross_entropy(classes + shift, label, reduction="none")

    def mitigation(self, label):
        """[N, C]: logarithms, at most 0; a class's own is 0."""
        log_count = self.cum_samples[:-1].clamp(min=1).log()
        return self.p * (log_count - log_count[label][:, None]).clamp(max=0)

    def compensation(self, classes, label):
        """[N, C]: logarithms, at least 0; a class's own is 0."""
        log_score = classes.log_softmax(dim=1)
        own = log_score.gather(1, label[:, None]).clamp(min=math.log(self.eps))
        return self.q * (log_score - own).clamp(min=0)

    @torch.no_grad()
    def update(self, label, counted):
        """Count the rows that are ``counted`` [N]."""
        counts = torch.zeros_like(self.cum_samples)
        counts.index_add_(0, label, counted.to(counts.dtype))
        self.cum_samples += counts

    def get_activation(self, cls_score):
        """Scores [N, C + 1] at inference: softmax of the classes times P(foreground), and
        P(background)."""
        logits = at_least_float32(cls_score)
        foreground, background = logits[:, -2:].softmax(dim=1).split(1, dim=1)
        return torch.cat([logits[:, :-2].softmax(dim=1) * foreground, background], dim=1)
