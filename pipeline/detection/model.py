"""The detector of configs/detectors/ with a method's head, loss and settings filled in."""

from mmengine.config import Config

from pipeline.data.places import ROOT, categories
from pipeline.params import Params


def detector_config(params):
    path = ROOT / "configs" / "detectors" / f"{params.detector.config}.py"
    if not path.is_file():
        allowed = ", ".join(sorted(p.stem for p in path.parent.glob("*.py")))
        raise ValueError(f"detector.config is {params.detector.config!r}; allowed: {allowed}")
    return Config.fromfile(path)


def build_model(params, block, model):
    """The detector with the method's head, loss, hallucination and proposals filled in."""
    roi_head, count = model["roi_head"], len(categories(params))
    roi_head["type"] = "StandardRoIHead"
    roi_head["bbox_head"].update(
        type="LongTailBBoxHead",
        num_classes=count,
        prior=block.prior,
        loss_cls=dict(num_classes=count, **block.loss.as_yaml()),
    )
    if features := getattr(block, "features", None):
        roi_head.update(type="HallucinationRoIHead", hallucination=features.knobs)
    if "mask_head" in roi_head:
        roi_head["mask_head"]["num_classes"] = count
    if block.proposals:
        rpn = model["train_cfg"]["rpn_proposal"]
        rpn.update(max_per_img=block.proposals, nms_pre=max(rpn["nms_pre"], block.proposals))
    model["test_cfg"]["rcnn"].update(test_settings(params))
    return model


def test_settings(params: Params) -> dict:
    return dict(
        score_thr=params.predict.score_threshold,
        nms=dict(type="nms", iou_threshold=params.predict.nms_iou),
        max_per_img=params.predict.max_per_image,
    )
