"""Feature hallucination: per-class feature statistics, and features drawn from them.

Source: ``BACL:mmdet/models/roi_heads/bbox_heads/fhm_convfc_bbox_head.py`` (statistics, sampling)
and ``BACL:mmdet/models/utils/bbox_generator.py`` (jittered boxes). Two deliberate differences:
the statistics are those of all ranks together (the official ones are each rank's own, and only
rank 0's reach the checkpoint), and crowded images use at most ``max_boxes_per_image`` boxes.
"""

from typing import Annotated

import torch
from mmdet.registry import MODELS
from torch import nn

from pipeline.params.limits import within

from ..by_class import first_of_class, sums_at_first
from ..step_statistics import StepStatistics

JITTERS = 16
JITTER_SHARE = 1 / 6


@MODELS.register_module(name="hallucination")
class FeatureHallucination(StepStatistics, nn.Module):
    """Running mean and variance of each class's features; classes that get confused are drawn.

    Args:
        num_classes, feature_dim: C and D.
        decay_ratio: share of the newest batch in the running statistics.
        sampled_classes, samples_per_class: S draws of a class, K features for each draw.
        start_epoch: nothing happens before this epoch (from 0, told by ``set_epoch``).
        max_boxes_per_image: ground truths used for the statistics; a random subset beyond it.

    Nothing here but ``sample`` waits for the device.
    """

    def __init__(
        self,
        num_classes,
        feature_dim,
        decay_ratio: Annotated[float, within(0, 1)] = 0.1,
        sampled_classes: Annotated[int, within(1)] = 8,
        samples_per_class: Annotated[int, within(1)] = 12,
        start_epoch: Annotated[int, within(0)] = 0,
        max_boxes_per_image: Annotated[int, within(1)] = 100,
    ):
        super().__init__()
        self.decay_ratio = decay_ratio
        self.sampled_classes = sampled_classes
        self.samples_per_class = samples_per_class
        self.start_epoch = start_epoch
        self.max_boxes_per_image = max_boxes_per_image
        self.register_buffer("mean", torch.zeros(num_classes, feature_dim))
        self.register_buffer("var", torch.zeros(num_classes, feature_dim))
        self.register_buffer("seen", torch.zeros(num_classes, dtype=torch.bool))
        self.set_epoch(0)

    def set_epoch(self, epoch):
        """Tell the running epoch, counted from 0."""
        self.active = epoch >= self.start_epoch

    @torch.no_grad()
    def update(self, embeddings, labels):
        """Blend the batch's mean and variance into those of its classes.

        ``embeddings`` [M, D] of ``labels`` [M], M may be 0. The variance is the unbiased one; a
        class with a single row counts as variance 0, as officially.
        """
        embeddings = embeddings.to(self.mean.dtype)
        # float16 may have overflowed; a sum is finite where all of its row is
        finite = embeddings.sum(dim=1, keepdim=True).isfinite()
        embeddings = embeddings.where(finite, 0)
        first = first_of_class(labels, len(self.seen))
        # from here on each row has what its class gets, and the rows of a class all write the same
        count = sums_at_first(finite.to(embeddings.dtype), first)[first]
        mean = sums_at_first(embeddings, first)[first] / count.clamp(min=1)
        # centring on the mean first: sums of raw squares would cancel in float32
        squares = sums_at_first((embeddings - mean).square() * finite, first)[first]
        var = squares / (count - 1).clamp(min=1)
        seen = self.seen[labels]
        share = (1 - (1 - self.decay_ratio) * seen[:, None].to(count.dtype)) * (count > 0)
        self.mean[labels] = self.mean[labels].lerp(mean, share)
        self.var[labels] = self.var[labels].lerp(var, share)
        self.seen[labels] = seen | (count[:, 0] > 0)

    def class_probability(self, own_share):
        """[C]: chance of a class to be drawn, proportional to 1 - its ``own_share`` [C], which is
        how much of itself it has been taken for: the diagonal of a confusion matrix."""
        # a float32 running mean of ones can exceed 1 in its last digit
        missed = (1 - own_share).clamp(min=1e-12)
        return missed / missed.sum()

    @torch.no_grad()
    def draw(self, own_share, generator=None):
        """S * K hallucinated features [S * K, D], their labels and whether each is valid.

        ``own_share`` [C] is that of ``class_probability``.

        A draw that hits a class never seen is not valid and must count for nothing. Keeping it in
        place, rather than dropping it, keeps the shape fixed without asking the device.
        """
        classes = self.draw_classes(own_share, generator)
        labels = classes.repeat_interleave(self.samples_per_class)
        noise = torch.empty_like(self.mean[labels]).normal_(generator=generator)
        features = self.mean[labels] + self.var[labels].sqrt() * noise
        return features, labels, self.seen[labels]

    def draw_classes(self, own_share, generator):
        """S class indices, with replacement: the first of C exponential clocks of rate p to ring.

        ``torch.multinomial`` would do, but waits for the device when it draws only one.
        """
        probability = self.class_probability(own_share)
        clocks = probability.new_empty(self.sampled_classes, len(probability))
        return (probability / clocks.exponential_(generator=generator)).argmax(dim=1)

    def sample(self, own_share, generator=None):
        """The valid ones of ``draw``: features [M, D] and labels [M], M <= S * K."""
        features, labels, valid = self.draw(own_share, generator)
        return features[valid], labels[valid]

    def statistics_boxes(self, gt_boxes, gt_labels, img_hw):
        """Jittered boxes [G * 16, 4] of an image's ground truths and their labels [G * 16]."""
        if len(gt_boxes) > self.max_boxes_per_image:
            order = torch.rand(len(gt_boxes), device=gt_boxes.device).argsort()
            chosen = order[: self.max_boxes_per_image]
            gt_boxes, gt_labels = gt_boxes[chosen], gt_labels[chosen]
        uniform = torch.rand(4, JITTERS, device=gt_boxes.device, dtype=gt_boxes.dtype)
        boxes = jitter_boxes(gt_boxes, img_hw, uniform)
        return boxes.flatten(0, 1), gt_labels.repeat_interleave(JITTERS)


def jitter_boxes(gt_boxes, img_hw, uniform):
    """Move the sides of each box, in all 16 in/out combinations, by up to a sixth of its size.

    Args:
        gt_boxes: [G, 4] as (x1, y1, x2, y2) in pixels.
        img_hw: height and width of the image; the boxes are clipped to it.
        uniform: [4, 16] draws of [0, 1), shared by all boxes of the image.

    Returns:
        [G, 16, 4].
    """
    combination = torch.arange(JITTERS, device=gt_boxes.device)
    side_bit = torch.arange(3, -1, -1, device=gt_boxes.device)[:, None]
    signs = (combination >> side_bit & 1) * 2 - 1
    size = (gt_boxes[:, 2:] - gt_boxes[:, :2]).repeat(1, 2)
    offsets = JITTER_SHARE * signs * uniform * size[:, :, None]
    boxes = (gt_boxes[:, :, None] + offsets).transpose(1, 2)
    height, width = img_hw
    boxes[..., 0::2].clamp_(0, width - 1)
    boxes[..., 1::2].clamp_(0, height - 1)
    return boxes
