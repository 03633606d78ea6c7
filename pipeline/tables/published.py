"""Published numbers that stand, marked as such, below those measured here.

published.csv holds them with their setting and source, where each was read, now or before an author
changed the page.
COCO-LT has no row: SimCal's AP is COCO's, and the AP here is LVIS's.
"""

import csv
from dataclasses import dataclass
from pathlib import Path

from pipeline.params import Params

FILE = Path(__file__).with_name("published.csv")
NUMBERS = ("AP", "APr", "APc", "APf", "AP50")


@dataclass(frozen=True)
class Published:
    """``values``: fractions, of the columns that the source states."""

    method: str
    setting: str
    source: str
    values: dict[str, float]

    @property
    def footnote(self) -> str:
        return f"{self.method}: {self.setting}; {self.source}."


def published(params: Params, iou_type: str) -> dict[bool, tuple[Published, ...]]:
    """The rows of this data set and backbone, of boxes ("bbox") or masks ("segm").

    True: of the same kind of detector; False: of another one, to which the numbers here compare
    even less. Both are often empty.
    """
    kind, _, backbone = params.detector.config.partition("_fpn")[0].rpartition("_")
    wanted = {"data": params.data.benchmark, "iou_type": iou_type, "backbone": backbone}
    with open(FILE, newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if wanted.items() <= row.items()]
    return {
        same: tuple(map(of_row, (row for row in rows if (row["detector"] == kind) is same)))
        for same in (True, False)
    }


def of_row(row) -> Published:
    values = {key: float(row[key]) / 100 for key in NUMBERS if row[key]}
    return Published(row["method"], row["setting"], row["source"], values)
