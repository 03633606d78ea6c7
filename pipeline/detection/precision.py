"""The two parts of a detector that need float32 under mixed precision.

mmcv's RoIAlign and NMS have no bfloat16 kernel. What comes before and after them stays in the
lower precision.
"""

from mmdet.models.dense_heads import RPNHead
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.registry import MODELS

from .scoring import at_least_float32


@MODELS.register_module()
class Float32RPNHead(RPNHead):
    """mmdet's RPN with float32 scores and deltas, from which proposals and losses follow."""

    def forward(self, x):
        """Lists over the levels of scores [B, A, H, W] and deltas [B, 4 A, H, W]."""
        return tuple([at_least_float32(level) for level in levels] for levels in super().forward(x))


@MODELS.register_module()
class Float32RoIExtractor(SingleRoIExtractor):
    """mmdet's RoI extractor on float32 feature maps."""

    def forward(self, feats, rois, roi_scale_factor=None):
        """RoI features [M, channels, 7, 7] of ``rois`` [M, 5]."""
        return super().forward(tuple(map(at_least_float32, feats)), rois, roi_scale_factor)
