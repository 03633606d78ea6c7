"""Damage what users bring, and see that each is refused in one clear line or read right.

Annotation files and images go through the stage `prepare`, whose outputs are then read as training
and evaluation read them and compared with a slow reading of the damaged file; params.yaml through
`pipeline.params`, compared with what DVC reads; predictions through `pipeline.evaluation`, compared
with lvis-api. Prints what fell short, and a table of figures per kind of outcome. A case is one of
(seed, area, number) alone: `--only annotations:17` shows it again, `--keep FOLDER` keeps its files.
"""

import argparse
import gc
import logging
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from tests.fuzz import annotations, images, predictions, settings
from tests.fuzz.outcome import GOOD, KINDS, isolated

AREAS = {
    "annotations": annotations, "images": images, "params": settings, "predictions": predictions,
}  # fmt: skip


def main() -> int:
    options = parse()
    logging.disable()
    load_what_children_share(options.areas)
    gc.freeze()  # a collection in a child would copy every page of what it shares
    if options.only:
        area, number = options.only.split(":")
        damage, outcome = run(area, options.seed, int(number), options.keep)
        print(f"{damage.text}\n{outcome.kind}: {outcome.text}")
        return int(outcome.kind not in GOOD)
    figures = {area: Counter() for area in options.areas}
    for number in range(options.count):
        area = options.areas[number % len(options.areas)]
        damage, outcome = run(area, options.seed, number // len(options.areas))
        figures[area][outcome.kind] += 1
        if outcome.kind not in GOOD or options.all:
            place = f"{area}:{number // len(options.areas)}"
            print(f"{outcome.kind:14} {place:16} {damage.text}\n    {outcome.text}", flush=True)
    print(table(figures))
    return int(any(figures[area][kind] for area in figures for kind in KINDS if kind not in GOOD))


def parse():
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--count", type=int, default=320, help="of damages, over all areas")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--areas", nargs="+", choices=AREAS, default=list(AREAS))
    parser.add_argument("--only", metavar="AREA:NUMBER", help="one case, and its whole outcome")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where the one case is made")
    parser.add_argument("--all", action="store_true", help="print also what went well")
    return parser.parse_args()


def load_what_children_share(areas):
    """Imports only: a thread that was started before a fork would be missing after it."""
    import pipeline.evaluation.evaluate
    import tests.tools.lvis_api  # noqa: F401

    if {"annotations", "images"} & set(areas):
        import pipeline.detection
        import pipeline.reporting.data_page  # noqa: F401


def run(area, seed, number, folder=None):
    """The damage and the outcome of one case."""
    rng = np.random.default_rng([seed, list(AREAS).index(area), number])
    with tempfile.TemporaryDirectory(prefix="fuzz-") as temporary:
        folder = Path(folder or temporary).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        damage = AREAS[area].make(rng, folder)
        return damage, isolated(AREAS[area].judge, folder, damage)


def table(figures) -> str:
    lines = [f"{'':12}" + "".join(f"{kind:>16}" for kind in KINDS)]
    for area, counts in figures.items():
        lines.append(f"{area:12}" + "".join(f"{counts[kind]:16}" for kind in KINDS))
    total = sum(figures.values(), Counter())
    return "\n".join([*lines, f"{'all':12}" + "".join(f"{total[kind]:16}" for kind in KINDS)])


if __name__ == "__main__":
    sys.exit(main())
