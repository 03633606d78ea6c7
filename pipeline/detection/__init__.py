"""What mmdet gets from us; ``import pipeline.detection`` registers all of it.

Every module of ``losses/`` is imported, so a new loss is one new file there and no other edit.
"""

from importlib import import_module
from pkgutil import iter_modules

from . import bbox_head, dataset, hallucination, hooks, losses, precision, roi_head

for _module in iter_modules(losses.__path__, f"{losses.__name__}."):
    import_module(_module.name)

__all__ = ["bbox_head", "dataset", "hallucination", "hooks", "losses", "precision", "roi_head"]
