"""The RoI head whose classifier learns from more than the images' own features."""

import torch
from mmdet.models.roi_heads import StandardRoIHead
from mmdet.registry import MODELS
from mmdet.structures.bbox import bbox2roi, get_box_tensor

from .scoring import type_of


@MODELS.register_module()
class FeatureRoIHead(StandardRoIHead):
    """``StandardRoIHead`` with a ``LongTailBBoxHead`` and a source of features.

    Args:
        features: config of the source; ``num_classes`` and ``feature_dim`` come from the box head.

    In each iteration features drawn from the statistics join the RoIs in the classification loss
    (``BACL:mmdet/models/roi_heads/fhm_roi_head.py``); box and mask losses never see them. Then the
    jittered ground truths update the statistics. Officially the update comes first; drawing from
    the steps before makes a step independent of how it is divided over GPUs and micro-batches.
    """

    def __init__(self, *args, features, **kwargs):
        super().__init__(*args, **kwargs)
        loss = self.bbox_head.loss_cls
        if not hasattr(loss, "own_share"):
            raise ValueError(
                f"features is {features['type']}, which needs a loss that keeps a confusion "
                f"matrix, and {type_of(loss)} keeps none; remove features, or set loss.type to "
                "fcbl (margin: false, weight: false is plain BCE)"
            )
        self.hallucination = MODELS.build(
            {
                **features,
                "num_classes": self.bbox_head.num_classes,
                "feature_dim": self.bbox_head.cls_last_dim,
            }
        )

    def loss(self, x, rpn_results_list, batch_data_samples):
        """mmdet's losses; then the feature statistics take in this batch's ground truths."""
        losses = super().loss(x, rpn_results_list, batch_data_samples)
        if self.hallucination.active:
            self.record_statistics(x, batch_data_samples)
        return losses

    @torch.no_grad()
    def record_statistics(self, x, batch_data_samples):
        """Feed the embeddings of 16 jittered boxes of each ground truth to the statistics."""
        boxes, labels = zip(*map(self.statistics_boxes, batch_data_samples), strict=True)
        levels = x[: self.bbox_roi_extractor.num_inputs]
        features = self.bbox_roi_extractor(levels, bbox2roi(boxes))
        self.hallucination.record(self.bbox_head.embed(features), torch.cat(labels))

    def statistics_boxes(self, sample):
        return self.hallucination.statistics_boxes(
            get_box_tensor(sample.gt_instances.bboxes),
            sample.gt_instances.labels,
            sample.metainfo["img_shape"][:2],
        )

    def bbox_loss(self, x, sampling_results):
        """mmdet's box losses with hallucinated rows beside the RoIs' in the classification."""
        rois = bbox2roi([result.priors for result in sampling_results])
        results = self._bbox_forward(x, rois)
        targets = self.bbox_head.get_targets(sampling_results, self.train_cfg)
        results["loss_bbox"] = self.bbox_head.loss(
            results["cls_score"],
            results["bbox_pred"],
            rois,
            *targets,
            hallucinated=self.draw_hallucinated(),
        )
        return results

    def draw_hallucinated(self):
        """(features, labels, valid), or None before the start epoch."""
        if not self.hallucination.active:
            return None
        return self.hallucination.draw(self.bbox_head.loss_cls.own_share())
