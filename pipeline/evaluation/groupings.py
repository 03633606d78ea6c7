"""How categories are grouped by their share of the training data: by LVIS's rule, or SimCal's bins.

Imports nothing heavy, so that evaluation, reports and page may all ask it.
"""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

LIMITS = (1, 20, 400, 8000)
NO_GROUP = ""


@dataclass(frozen=True)
class Group:
    """``code`` stands in tables and data, ``key`` in the metrics; the rest is for readers."""

    code: str
    name: str
    key: str
    title: str
    tex: str

    def of(self, noun: str) -> str:
        """The noun with the name: "rare objects", or "objects in [1,20)"."""
        return f"{self.name} {noun}" if self.name.isalpha() else f"{noun} in {self.name}"


@dataclass(frozen=True)
class Grouping:
    """``count`` is the key of the training count that orders the groups, of ``unit``s."""

    count: str
    unit: str
    rule: str
    code_of: Callable[[dict], str]
    groups: tuple[Group, ...]

    def codes(self, categories: list[dict]) -> np.ndarray:
        """The code of each category's group; ``NO_GROUP`` where it belongs to none."""
        return np.array([self.code_of(category) for category in categories], str)

    @property
    def names(self) -> dict[str, str]:
        """code -> name, the fewest training objects first."""
        return {group.code: group.name for group in self.groups}

    def name(self, code: str) -> str:
        return self.names.get(code, "not in training")


def simcal_code(category: dict) -> str:
    """1 to 4; a category without a training object has none."""
    return ("", *"1234")[bisect_right(LIMITS, category["instance_count"])]


def simcal_group(code: str, low: int, high: int | None) -> Group:
    ends, tex = (str(high), str(high)) if high else ("∞", r"\infty")
    name = f"[{low},{ends})"
    return Group(code, name, f"simcal/AP{code}", f"AP {name}", f"AP$_{{[{low},{tex})}}$")


LVIS = Grouping(
    count="image_count",
    unit="images",
    rule="Rare, common and frequent (r, c, f) follow the number of training images.",
    code_of=lambda category: category["frequency"],
    groups=(
        Group("r", "rare", "APr", "APr", "AP$_r$"),
        Group("c", "common", "APc", "APc", "AP$_c$"),
        Group("f", "frequent", "APf", "APf", "AP$_f$"),
    ),
)
SIMCAL = Grouping(
    count="instance_count",
    unit="objects",
    rule="The groups are the bins of the number of training objects (instances) that SimCal uses "
    "for COCO-LT (Wang et al., arXiv 2007.11978).",
    code_of=simcal_code,
    groups=tuple(map(simcal_group, "1234", LIMITS, (*LIMITS[1:], None))),
)
GROUPINGS = {"lvis": LVIS, "simcal": SIMCAL}


def has_counts(grouping: Grouping, categories: list[dict]) -> bool:
    """Whether every category carries the training count of this grouping."""
    return all(type(category.get(grouping.count)) is int for category in categories)
