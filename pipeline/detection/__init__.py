"""What mmdet gets from us; ``import pipeline.detection`` registers all of it.

Every module of the folders of parts is imported, and a family imports its heads: a new part is one
new file. (By listing, so that a stage depends on the parts that it uses and on no other.)
"""

from importlib import import_module
from pkgutil import iter_modules

from . import (
    batch_norm,
    calibrations,
    dataset,
    families,
    features,
    losses,
    operators,
    precision,
    predictors,
    samplers,
)

for _folder in (families, losses, samplers, features, predictors, calibrations):
    for _module in iter_modules(_folder.__path__, f"{_folder.__name__}."):
        import_module(_module.name)

__all__ = [
    "batch_norm", "calibrations", "dataset", "families", "features", "losses", "operators",
    "precision", "predictors", "samplers",
]  # fmt: skip
