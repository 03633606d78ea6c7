"""NorCal: scores of frequent classes go down by the number of their training images [Pan et al.
2021; tydpan/NorCal:projects/NorCal/norcal/roi_heads.py]."""

from typing import Annotated, Literal

import torch
from mmdet.registry import MODELS
from torch import nn

from pipeline.params.limits import within


@MODELS.register_module(name="norcal")
class NorCal(nn.Module):
    """Softmax scores with a factor h a class: n^-gamma, n its training images; background has 1.

    Args:
        image_count: [C] training images of each class. 0 counts as 1: the official factor is
            infinite there.
        gamma: 0 changes nothing; choose it on training images that were held out.
        method: ``gamma``, or ``cb`` for h = (1 - gamma) / (1 - gamma^n), whose gamma is below 1
            [Cui et al. 2019, class-balanced loss].
        on: what h multiplies: ``exps`` of the logits (the published form, softmax(z + ln h)),
            ``probs`` (the same, unless ``renorm`` is false: then scores of a row no longer add up
            to 1), or ``logits`` (negative ones go up).
    """

    def __init__(
        self,
        num_classes,
        image_count,
        gamma: Annotated[float, within(0)],
        method: Literal["gamma", "cb"] = "gamma",
        on: Literal["exps", "probs", "logits"] = "exps",
        renorm: bool = True,
    ):
        super().__init__()
        assert len(image_count) == num_classes
        if method == "cb" and gamma >= 1:
            raise ValueError(f"gamma is {gamma}; method cb takes 0 to below 1")
        if on != "probs" and not renorm:
            raise ValueError(f"renorm: false has no effect on {on}; remove it, or set on: probs")
        self.on, self.renorm = on, renorm
        count = torch.tensor(image_count, dtype=torch.float64).clamp(min=1)
        log_factor = -gamma * count.log() if method == "gamma" else log_of_cb(gamma, count)
        factor = torch.cat([log_factor, log_factor.new_zeros(1)])
        self.register_buffer("log_factor", factor, persistent=False)

    def uncorrected(self, cls_score):
        return cls_score.softmax(dim=1)

    def get_activation(self, cls_score):
        log_factor = self.log_factor.to(cls_score.dtype)
        if self.on == "exps":
            return (cls_score + log_factor).softmax(dim=1)
        if self.on == "logits":
            return (cls_score * log_factor.exp()).softmax(dim=1)
        scores = self.uncorrected(cls_score) * log_factor.exp()
        return scores / scores.sum(dim=1, keepdim=True) if self.renorm else scores


def log_of_cb(gamma, count):
    return torch.log((1 - gamma) / (1 - gamma**count))
