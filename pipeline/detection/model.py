"""The detector of configs/detectors/ with a method's parts and settings filled in."""

from collections.abc import Callable

from mmengine.config import Config

from pipeline.data.index import Index
from pipeline.data.places import ROOT, categories, index_folder
from pipeline.detection.families import family_of
from pipeline.params import Params
from pipeline.params.parts import Part

STATISTICS = ("image_count", "instance_count", "num_images")


def detector_config(params):
    path = ROOT / "configs" / "detectors" / f"{params.detector.config}.py"
    if not path.is_file():
        allowed = ", ".join(sorted(p.stem for p in path.parent.glob("*.py")))
        raise ValueError(f"detector.config is {params.detector.config!r}; allowed: {allowed}")
    try:
        return Config.fromfile(path)
    except Exception as error:  # whatever running somebody's config raises
        reason = " ".join(str(error).split())
        message = f"{path.relative_to(ROOT)} cannot be read: {type(error).__name__}: {reason}"
        raise ValueError(message) from None


def build_model(params, block, model):
    """The detector config ``model`` with the parts of a method filled in."""
    complete(model, block, len(categories(params)), lambda name: statistic(params, name))
    return model


def complete(model, block, classes: int, statistic: Callable) -> None:
    """``statistic(name)``: what a part asks for in its constructor, one of ``STATISTICS``."""
    predictor, features = getattr(block, "predictor", None), getattr(block, "features", None)
    family_of(model).complete(
        model,
        classes,
        loss=config_of(block.loss, classes, statistic),
        prior=getattr(block, "prior", None),
        predictor=predictor and predictor.as_yaml(),
        features=features and features.as_yaml(),
        proposals=getattr(block, "proposals", None),
    )


def config_of(part: Part, classes: int, statistic: Callable) -> dict:
    """What a registry builds a loss or calibration from: its knobs, and what it must be given."""
    given = {name: statistic(name) for name in part.signature.given if name in STATISTICS}
    return {**part.as_yaml(), "num_classes": classes, **given}


def statistic(params: Params, name: str):
    """Of the training images, in the order of the classes.

    image_count: images with the class, a list; instance_count: its boxes, a list; num_images: the
    images with at least one box, which are those that training sees. (EQL, DropLoss and GOL want
    these, 99,388 of LVIS v1's 100,170; IIF and FRACAL officially count the empty ones too, which
    moves every class alike, by ln(100170 / 99388) = 0.008.)
    """
    if name == "num_images":
        return len(Index(index_folder(params, "train")).with_objects())
    return [category[name] for category in categories(params)]


def test_settings(params: Params) -> dict:
    return dict(
        score_thr=params.predict.score_threshold,
        nms=dict(type="nms", iou_threshold=params.predict.nms_iou),
        max_per_img=params.predict.max_per_image,
    )
