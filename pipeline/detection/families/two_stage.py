"""RPN, RoI head, box head and maybe a mask head: Faster and Mask R-CNN."""

from types import SimpleNamespace

from mmdet.registry import MODELS

from .. import bbox_head, roi_head  # noqa: F401  (registers the heads with mmdet)
from . import has

NAME = "two_stage"
HAS = "roi_head"
BOX_HEAD = "roi_head.bbox_head."
FEATURES = "roi_head.hallucination."
CLASSIFIER = f"{BOX_HEAD}fc_cls.weight"
STATISTICS = (f"{BOX_HEAD}loss_cls.", FEATURES)
# The names of BACL's own code [BACL:mmdet/models/losses/fcbl.py, fhm_convfc_bbox_head.py].
TRANSLATED = {
    f"{BOX_HEAD}loss_cls.cm_numerator": f"{BOX_HEAD}loss_cls.confusion_sum",
    f"{BOX_HEAD}loss_cls.num_gt": f"{BOX_HEAD}loss_cls.class_count",
    f"{BOX_HEAD}feature_prototype": f"{FEATURES}mean",
    f"{BOX_HEAD}feature_variance": f"{FEATURES}var",
    f"{BOX_HEAD}feature_used": f"{FEATURES}seen",
}


def fits(model) -> bool:
    return has(model, HAS)


def complete(model, classes, loss, prior=None, predictor=None, features=None, proposals=None):
    """Fill in a method's heads; ``loss``, ``predictor`` and ``features`` are configs to build."""
    head = model["roi_head"]
    head["type"] = "StandardRoIHead"
    head["bbox_head"].update(
        type="LongTailBBoxHead", num_classes=classes, prior=prior, loss_cls=loss
    )
    if predictor:
        head["bbox_head"]["cls_predictor_cfg"] = predictor
    if features:
        head.update(type="FeatureRoIHead", features=features)
    if "mask_head" in head:
        head["mask_head"]["num_classes"] = classes
    if proposals:
        rpn = model["train_cfg"]["rpn_proposal"]
        rpn.update(max_per_img=proposals, nms_pre=max(rpn["nms_pre"], proposals))


def build_heads(model) -> SimpleNamespace:
    """The heads of a config alone, as a detector has them."""
    return SimpleNamespace(
        rpn_head=MODELS.build(model["rpn_head"]), roi_head=MODELS.build(model["roi_head"])
    )


def set_test(model, settings: dict) -> None:
    """``settings``: score_thr, nms, max_per_img, and mask_thr_binary for masks."""
    model["test_cfg"]["rcnn"].update(settings)


def calibrate(model, calibration: dict) -> None:
    """Scores at test time come from the registered module that ``calibration`` configures."""
    model["roi_head"]["bbox_head"]["calibration"] = calibration


def layers(model) -> dict:
    head = model.roi_head
    found = {"fc_cls": head.bbox_head.fc_cls, "fc_reg": head.bbox_head.fc_reg}
    found["rpn"] = model.rpn_head
    return {**found, "mask_head": head.mask_head} if head.with_mask else found


def loss_config(model) -> dict:
    return model["roi_head"]["bbox_head"]["loss_cls"]


def loss_of(model):
    """The classification loss of a built detector."""
    return model.roi_head.bbox_head.loss_cls


def features_of(model):
    """What joins the images' features in a built detector, or None."""
    return getattr(model.roi_head, "hallucination", None)


def has_masks(model) -> bool:
    """Of a config."""
    return "mask_head" in model["roi_head"]


def columns(state) -> int | None:
    """Columns of the scores before their activation; None where ``state`` is of another family."""
    weight = state.get(CLASSIFIER)
    return None if weight is None else len(weight)


def classifier(state):
    """Weights [columns, D] and biases [columns]."""
    return state[f"{BOX_HEAD}fc_cls.weight"], state[f"{BOX_HEAD}fc_cls.bias"]


def adopt(model, state, classes) -> str:
    """Fit the config to somebody's ``state``: its kind of boxes (returned) and its features.

    ``ValueError`` where it is of no kind that we know.
    """
    rows = len(state.get(f"{BOX_HEAD}fc_reg.weight", ()))
    if rows not in (4, 4 * classes):
        raise ValueError(
            f"{BOX_HEAD}fc_reg.weight has {rows} rows; 4 (class-agnostic) or {4 * classes} (of "
            f"each of the {classes} classes) are understood"
        )
    model["roi_head"]["bbox_head"]["reg_class_agnostic"] = rows == 4
    if loss_config(model)["type"] == "fcbl" and f"{FEATURES}mean" in state:
        model["roi_head"].update(type="FeatureRoIHead", features=dict(type="hallucination"))
    return "class-agnostic" if rows == 4 else "class-specific"


def same_boxes(model, other) -> None:
    """Give the config ``model`` the kind of box regression of the config ``other``."""
    agnostic = other["roi_head"]["bbox_head"]["reg_class_agnostic"]
    model["roi_head"]["bbox_head"]["reg_class_agnostic"] = agnostic


def predict_boxes(model, features, sample):
    """Detections of one image, in the pixels of its input, from its feature maps."""
    proposals = model.rpn_head.predict(features, [sample], rescale=False)
    head, about = model.roi_head, [sample.metainfo]
    (found,) = head.predict_bbox(features, about, proposals, head.test_cfg, rescale=False)
    return found


def predict_masks(model, features, sample, found):
    """``found`` with masks, in the pixels of the original image."""
    (masked,) = model.roi_head.predict_mask(features, [sample.metainfo], [found], rescale=True)
    return masked


def mask_classes(model) -> int:
    return model.roi_head.mask_head.num_classes
