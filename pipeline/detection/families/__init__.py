"""Detector families, one a file: the only code that knows what a detector calls its heads.

Everybody else asks the family of a model, a configured one or a built one. Its file has

- ``HAS``: the key of a detector's config by which it is of this family, and ``fits(model)``;
- ``complete(model, ...)``: what a method adds to a detector of configs/detectors/;
- ``set_test``, ``calibrate``: how its boxes are chosen, and where their scores come from;
- ``layers(model)``: the layers that params.yaml names in ``train`` and ``reinit``;
- ``loss_of``, ``features_of``, ``has_masks``: parts of a model;
- ``STATISTICS``: where a state dict has what loss and features have counted;
- ``columns``, ``classifier``, ``adopt``, ``same_boxes``: a state dict read without a model.
"""

from functools import lru_cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType


@lru_cache
def families() -> tuple[ModuleType, ...]:
    return tuple(import_module(found.name) for found in iter_modules(__path__, f"{__name__}."))


def family_of(model) -> ModuleType:
    """Of the ``model`` of a config, or of a detector that is built.

    ``ValueError`` where it is of no family that we have.
    """
    found = [family for family in families() if family.fits(model)]
    if not found:
        raise ValueError(f"no detector family fits {kind_of(model)}; there are: {names()}")
    assert len(found) == 1, found
    return found[0]


def family_of_state(state: dict) -> ModuleType:
    """Of a state dict; ``ValueError`` where it has no classifier that we know."""
    for family in families():
        if family.columns(state) is not None:
            return family
    known = ", ".join(f"{family.CLASSIFIER} ({family.NAME})" for family in families())
    raise ValueError(f"holds no {known}")


def layers(model) -> dict:
    """name in params.yaml -> module: fc_cls, fc_reg, rpn, mask_head, as far as ``model`` has them.

    ``model`` may be wrapped for several GPUs.
    """
    bare = unwrapped(model)
    return family_of(bare).layers(bare)


def unwrapped(model):
    return getattr(model, "module", model)


def has(model, name: str) -> bool:
    return name in model if isinstance(model, dict) else hasattr(model, name)


def kind_of(model):
    return model["type"] if isinstance(model, dict) else type(model).__name__


def names():
    return ", ".join(family.NAME for family in families())
