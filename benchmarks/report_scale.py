"""At LVIS v1 val's size: what `evaluate`, `diagnose` and `report` cost.

    python benchmarks/report_scale.py --categories lvis_v1_train_cat_info.json [--folder DIR]

Generates a project with 19,809 val images, 1,203 categories and methods of 300 detections an image
(5.9 million each), and runs the stages on it, each in a fresh process: seconds of the clock and of
all cores, and the most memory. Needs 4 GB of memory and 2 GB of disk.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from report_scale_project import METHODS, VAL_IMAGES, write_project

ROOT = Path(__file__).resolve().parents[1]


def measure(folder, *stage):
    """(seconds, seconds of all cores, peak GB) of ``python -m stages.<stage>``."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", f"stages.{stage[0]}", *stage[1:]], cwd=folder, env=environment
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        sys.exit(f"stages.{stage[0]} failed")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**20


def run(folder, table, images, methods):
    write_project(folder, table, images, methods)
    print(f"{'':24}  seconds  of cores  peak GB")
    for stage in ("evaluate", "diagnose"):  # the report needs those of all methods
        for method in methods:
            show(stage, method, measure(folder, stage, method))
    show("report", f"{len(methods)} methods", measure(folder, "report"))


def show(stage, what, figures):
    seconds, cores, memory = figures
    print(f"{stage:9}{what:15}  {seconds:7.1f}  {cores:8.1f}  {memory:7.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--categories", type=Path, required=True, help="LVIS's category table")
    parser.add_argument("--folder", type=Path, help="keep the project in this new folder")
    parser.add_argument("--images", type=int, default=VAL_IMAGES)
    parser.add_argument("--methods", type=int, default=len(METHODS), choices=range(1, 11))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary, "project")
        run(folder, options.categories, options.images, METHODS[: options.methods])


if __name__ == "__main__":
    main()
