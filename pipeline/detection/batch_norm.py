"""Batch norm whose running statistics see one optimizer step as one batch."""

import torch
from mmengine.registry import MODELS
from torch import nn
from torch.nn.functional import batch_norm

from .step_statistics import StepStatistics


@MODELS.register_module(name="StepBN")
class StepBatchNorm(StepStatistics, nn.BatchNorm2d):
    """``BatchNorm2d`` that normalises each piece of a step by itself, and averages statistics.

    mmdet's, on several ranks, keeps those of each rank's own images, and saves the first rank's.
    """

    def forward(self, x):
        """[B, C, H, W], normalised."""
        if not self.training:
            return super().forward(x)
        mean, var = torch.zeros_like(self.running_mean), torch.zeros_like(self.running_var)
        # with a momentum of 1 the buffers become this batch's own mean and unbiased variance
        normed = batch_norm(x, mean, var, self.weight, self.bias, True, 1.0, self.eps)
        self.record(mean[None], var[None])
        return normed

    @torch.no_grad()
    def update(self, means, variances):
        """``means`` and ``variances`` [P, C] of a step's P pieces."""
        self.running_mean.lerp_(means.mean(dim=0), self.momentum)
        self.running_var.lerp_(variances.mean(dim=0), self.momentum)
        self.num_batches_tracked += 1
