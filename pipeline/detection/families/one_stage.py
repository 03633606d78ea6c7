"""A head that scores every anchor of every level: RetinaNet."""

from types import SimpleNamespace

from mmdet.registry import MODELS

from .. import dense_head  # noqa: F401  (registers the head with mmdet)
from . import has

NAME = "one_stage"
HAS = "bbox_head"
HEAD = "bbox_head."
CLASSIFIER = f"{HEAD}retina_cls.weight"
STATISTICS = (f"{HEAD}loss_cls.",)
TRANSLATED = {}
DELTAS = 4


def fits(model) -> bool:
    return has(model, HAS)


def complete(model, classes, loss, prior=None, predictor=None, features=None, proposals=None):
    """Fill in a method's head; ``loss`` is a config to build.

    ``ValueError`` names what a one-stage detector has not.
    """
    for name, value in dict(predictor=predictor, features=features, proposals=proposals).items():
        if value:
            found = value["type"] if isinstance(value, dict) else value
            raise ValueError(
                f"{name} is {found}, but a one-stage detector has no {name}; remove it"
            )
    model["bbox_head"].update(
        type="LongTailRetinaHead", num_classes=classes, prior=prior, loss_cls=loss
    )


def build_heads(model) -> SimpleNamespace:
    """The heads of a config alone, as a detector has them."""
    return SimpleNamespace(bbox_head=MODELS.build(model["bbox_head"]))


def set_test(model, settings: dict) -> None:
    """``settings``: score_thr, nms, max_per_img."""
    model["test_cfg"].update(settings)


def calibrate(model, calibration: dict) -> None:
    """Scores at test time come from the registered module that ``calibration`` configures."""
    model["bbox_head"]["calibration"] = calibration


def layers(model) -> dict:
    return {"fc_cls": model.bbox_head.retina_cls, "fc_reg": model.bbox_head.retina_reg}


def loss_config(model) -> dict:
    return model["bbox_head"]["loss_cls"]


def loss_of(model):
    """The classification loss of a built detector."""
    return model.bbox_head.loss_cls


def features_of(model):
    return None


def has_masks(model) -> bool:
    return False


def columns(state) -> int | None:
    """Columns of the scores before their activation; None where ``state`` is of another family."""
    weight = state.get(CLASSIFIER)
    return None if weight is None else len(weight) // anchors(state)


def classifier(state):
    """Weights [columns, D], those of a place's anchors in one row, and biases [columns], a mean."""
    weight, bias = (state[f"{HEAD}retina_cls.{name}"] for name in ("weight", "bias"))
    by_anchor = weight.reshape(anchors(state), columns(state), -1)
    return by_anchor.transpose(0, 1).flatten(1), bias.reshape(len(by_anchor), -1).mean(dim=0)


def anchors(state) -> int:
    """At one place of a feature map."""
    return len(state[f"{HEAD}retina_reg.bias"]) // DELTAS


def adopt(model, state, classes) -> str:
    """Nothing of somebody's ``state`` changes the config."""
    return "class-agnostic"


def same_boxes(model, other) -> None:
    """One-stage boxes are of one kind."""
