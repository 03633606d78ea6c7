"""The one-stage head: mmdet's RetinaNet, with the losses of this project."""

from contextlib import nullcontext

from mmdet.models.dense_heads import RetinaHead
from mmdet.registry import MODELS

from .scoring import set_prior, set_up_scores, type_of
from .step_statistics import one_step


@MODELS.register_module()
class LongTailRetinaHead(RetinaHead):
    """``RetinaHead`` that takes its width from its loss, which has a column a class and no more.

    Args:
        prior: initial sigmoid score of all outputs; None leaves mmdet's 0.01.
        calibration: a config; scores at test time come from its ``get_activation``, before mmdet
            chooses boxes by them.

    ``ValueError`` where the loss has another width: mmdet's dense heads have no background.
    """

    def __init__(self, *args, prior=None, calibration=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.prior = prior
        set_up_scores(self, "one_stage", calibration)

    def _init_layers(self):
        """mmdet's hook between the building of the loss and that of the layers."""
        width = getattr(self.loss_cls, "get_cls_channels", lambda classes: None)(self.num_classes)
        if width != self.num_classes:
            raise ValueError(
                f"loss.type is {type_of(self.loss_cls)}, which has {width} columns for "
                f"{self.num_classes} classes; a one-stage detector takes a loss with one a class "
                "and none for background, such as focal or fcbl_dense"
            )
        self.use_sigmoid_cls, self.cls_out_channels = True, width
        super()._init_layers()

    def init_weights(self):
        super().init_weights()
        set_prior(self.retina_cls, self.prior)

    def loss_by_feat(self, *args, **kwargs):
        """mmdet's; the loss is called for every level, and its statistics change after the last."""
        held = getattr(self.loss_cls, "held", None) is not None
        with nullcontext() if held else one_step(self.loss_cls):
            return super().loss_by_feat(*args, **kwargs)
