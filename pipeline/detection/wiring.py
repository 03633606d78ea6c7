"""Whether the parts of every method fit together, found out by building and calling them.

It needs no data: the statistics are made up, and of the detector only its heads are built.
"""

import torch
from mmengine.registry import init_default_scope

from pipeline.detection.families import family_of
from pipeline.detection.model import complete, config_of, detector_config
from pipeline.detection.scoring import type_of
from pipeline.params import SECTIONS, Params

CLASSES, ROWS = 100, 40
COUNTS = [1 + rank**2 for rank in range(CLASSES)]  # rare, common and frequent classes
STATISTICS = {"image_count": COUNTS, "instance_count": [2 * n for n in COUNTS], "num_images": 20000}


def check_wiring(params: Params) -> None:
    """``ValueError`` names the first method of params.yaml whose parts do not fit, and the part."""
    init_default_scope("mmdet")
    with torch.random.fork_rng(devices=[]):
        for section in SECTIONS:
            for name in getattr(params, section):
                try:
                    check_method(params, name)
                except ValueError as error:
                    raise ValueError(f"{section}.{name}: {error}") from None


def check_method(params, name):
    method = params.method(name)
    heads = build_heads(params, name)
    loss = family_of(heads).loss_of(heads)
    if hasattr(method, "calibrator"):  # before its scores: it cannot take another width
        check_corrects(params, name, loss)
    check_scores(loss, family_of(heads))
    if hasattr(method, "loss"):
        check_gradient(loss)
    if hasattr(method, "reinit") and "fc_cls" not in method.reinit:
        check_goes_on(params, name, heads)


def build_heads(params, name):
    """The heads of a method's detector; a calibration's are those of what it starts from."""
    method, model = params.method(name), detector_config(params).model
    calibrator = getattr(method, "calibrator", None)
    complete(model, params.method(trained(params, name)), CLASSES, STATISTICS.get)
    if calibrator:
        family_of(model).calibrate(model, config_of(calibrator, CLASSES, STATISTICS.get))
    return family_of(model).build_heads(model)


def trained(params, name):
    """The method itself, or the one whose weights a calibration takes over."""
    method = params.method(name)
    return name if hasattr(method, "loss") else trained(params, method.start)


def logits_of(loss):
    return torch.randn(ROWS, loss.get_cls_channels(CLASSES))


def check_scores(loss, family):
    scores = loss.get_activation(logits_of(loss))
    if scores.shape != (ROWS, CLASSES + 1) or not scores.isfinite().all():
        raise ValueError(
            f"{type_of(loss.get_activation.__self__)} gives scores {list(scores.shape)} for {ROWS} "
            f"rows of {CLASSES} classes, or some that are not finite; they must be [N, C + 1], "
            "background (or 0) last"
        )
    if family.NAME == "one_stage" and scores[:, -1].any():
        raise ValueError(
            f"{type_of(loss.get_activation.__self__)} scores the background, which a one-stage "
            "detector would show as a class; its last column must be 0"
        )


def check_corrects(params, name, calibrated):
    """A calibration must correct the scores that the trained loss gives."""
    start = params.method(name).start
    heads = build_heads(params, start)
    loss = family_of(heads).loss_of(heads)
    calibration, logits = calibrated.get_activation.__self__, logits_of(loss)
    found, wanted = loss.get_activation(logits), calibration.uncorrected(logits)
    if found.shape != wanted.shape or not found.allclose(wanted):
        raise ValueError(
            f"from is {start}, whose loss gives other scores than {type_of(calibration)} corrects; "
            "choose a method with those"
        )


def check_gradient(loss):
    """A finite loss, or several, whose gradient reaches the logits."""
    logits = logits_of(loss).requires_grad_()
    label = torch.arange(ROWS) * 7 % (CLASSES + 1)
    label[::4] = CLASSES
    value = loss(logits, label, torch.ones(ROWS), avg_factor=ROWS)
    if isinstance(value, dict):
        value = sum(part for key, part in value.items() if "loss" in key)
    value.backward()
    if not (value.isfinite() and logits.grad.isfinite().all() and logits.grad.any()):
        raise ValueError(
            f"loss.type is {type_of(loss)}, whose value {value.item()} or gradient is not finite, "
            "or does not reach the logits"
        )


def check_goes_on(params, name, heads):
    """A classifier that keeps its start's ``fc_cls`` must be able to."""
    method = params.method(name)
    start = params.method(method.start)
    own, theirs = (shape(part) for part in (heads, build_heads(params, method.start)))
    kinds = kind(start), kind(method)
    takes = method.predictor.signature.facts.get("goes_on_from", ()) if method.predictor else ()
    if own == theirs and (kinds[0] == kinds[1] or kinds[0] in takes):
        return
    raise ValueError(
        f"reinit lacks fc_cls, but {method.start}'s is {kinds[0]} {theirs}, and this one's "
        f"{kinds[1]} {own}; write reinit: [fc_cls]"
    )


def shape(heads):
    """Of ``fc_cls``, without the number of classes that was made up."""
    rows, *others = family_of(heads).layers(heads)["fc_cls"].weight.shape
    return f"[C + {rows - CLASSES}]" if len(others) == 1 else str([rows, *others])


def kind(method):
    return method.predictor.type if method.predictor else "linear"
