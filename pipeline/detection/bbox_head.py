"""The box head: two shared FCs, ``fc_cls``, ``fc_reg``; hallucinated features may join the RoIs."""

import torch
from mmdet.models.roi_heads.bbox_heads import Shared2FCBBoxHead
from mmdet.registry import MODELS

from .scoring import set_prior, set_up_scores, with_parts


@MODELS.register_module()
class LongTailBBoxHead(Shared2FCBBoxHead):
    """``Shared2FCBBoxHead`` with an initial score, and a loss that takes hallucinated rows.

    Args:
        prior: initial sigmoid score of all outputs (0.001 in BACL, for sigmoid losses only); None
            leaves the bias at 0.
        calibration: a config; scores at test time come from its ``get_activation``, before mmdet
            chooses boxes by them.
    """

    def __init__(self, *args, prior=None, calibration=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.prior = prior
        set_up_scores(self, "two_stage", calibration)

    def init_weights(self):
        super().init_weights()
        set_prior(self.fc_cls, self.prior)

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
        its statistics ask every rank for rows. ``acc`` is that of the RoIs.
        """
        box_targets = (labels, label_weights, bbox_targets, bbox_weights)
        losses = super().loss(None, bbox_pred, rois, *box_targets, reduction_override)
        losses.update(self.loss_cls.get_accuracy(cls_score, labels))
        rows = (cls_score, labels, label_weights)
        if hallucinated is not None:
            rows = self.with_hallucinated(*rows, *hallucinated)
        return losses | self.classification_loss(*rows)

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
        """``loss_cls``; of a loss with several parts their sum, and each beside it to be logged."""
        rows_that_count = (label_weights > 0).sum().clamp(min=1)
        value = self.loss_cls(cls_score, labels, label_weights, avg_factor=rows_that_count)
        return with_parts(value) if isinstance(value, dict) else {"loss_cls": value}
