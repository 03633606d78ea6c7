"""The box head: two shared FCs, ``fc_cls``, ``fc_reg``; hallucinated features may join the RoIs."""

import math

import torch
from mmdet.models.losses import accuracy
from mmdet.models.roi_heads.bbox_heads import Shared2FCBBoxHead
from mmdet.registry import MODELS
from torch import nn


@MODELS.register_module()
class LongTailBBoxHead(Shared2FCBBoxHead):
    """``Shared2FCBBoxHead`` with an initial score, and a loss that takes hallucinated rows.

    Args:
        prior: initial sigmoid score of all C + 1 outputs (0.001 in BACL, for sigmoid losses only);
            None leaves the bias at 0.
    """

    def __init__(self, *args, prior=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.prior = prior

    def init_weights(self):
        super().init_weights()
        if self.prior is not None:
            nn.init.constant_(self.fc_cls.bias, math.log(self.prior / (1 - self.prior)))

    def embed(self, bbox_feats):
        """RoI features [M, channels, 7, 7] to what ``fc_cls`` sees, [M, D]."""
        embeddings = bbox_feats.flatten(1)
        for layer in self.shared_fcs:
            embeddings = self.relu(layer(embeddings))
        return embeddings

    def loss(
        self,
        cls_score,
        bbox_pred,
        rois,
        labels,
        label_weights,
        bbox_targets,
        bbox_weights,
        reduction_override=None,
        hallucinated=None,
    ):
        """mmdet's losses; ``hallucinated`` (features, labels, valid) joins the classification.

        The classification loss runs on every rank in every iteration, also on no row at all:
        the rank's share in FCBL's reduction must not be missing. ``acc`` is that of the RoIs.
        """
        box_targets = (labels, label_weights, bbox_targets, bbox_weights)
        losses = super().loss(None, bbox_pred, rois, *box_targets, reduction_override)
        losses.update(self.accuracy(cls_score, labels))
        rows = (cls_score, labels, label_weights)
        if hallucinated is not None:
            rows = self.with_hallucinated(*rows, *hallucinated)
        losses["loss_cls"] = self.classification_loss(*rows)
        return losses

    def accuracy(self, cls_score, labels):
        if self.custom_activation:
            return self.loss_cls.get_accuracy(cls_score, labels)
        return {"acc": accuracy(cls_score, labels)}

    def with_hallucinated(self, cls_score, labels, label_weights, features, new_labels, valid):
        """Append the scores of ``features`` [M, D], by ``fc_cls`` alone; weight 0 if not valid."""
        new_score = self.fc_cls(features).to(cls_score.dtype)
        new_weights = valid.to(label_weights.dtype)
        return (
            torch.cat([cls_score, new_score]),
            torch.cat([labels, new_labels]),
            torch.cat([label_weights, new_weights]),
        )

    def classification_loss(self, cls_score, labels, label_weights):
        rows_that_count = (label_weights > 0).sum().clamp(min=1)
        return self.loss_cls(cls_score, labels, label_weights, avg_factor=rows_that_count)
