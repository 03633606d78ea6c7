"""What mmdet gets from us; ``import pipeline.detection`` registers all of it.

Every module of the folders of parts is imported: a new part is one new file there.
"""

from importlib import import_module
from pkgutil import iter_modules

from . import (
    bbox_head,
    calibrations,
    dataset,
    dense_head,
    features,
    losses,
    phases,
    precision,
    predictors,
    roi_head,
    samplers,
)

for _folder in (losses, samplers, features, predictors, calibrations):
    for _module in iter_modules(_folder.__path__, f"{_folder.__name__}."):
        import_module(_module.name)

__all__ = [
    "bbox_head", "calibrations", "dataset", "dense_head", "features", "losses", "phases",
    "precision", "predictors", "roi_head", "samplers",
]  # fmt: skip
