"""One optimizer step at LVIS's size, ours beside plain mmdet 3: images/s and peak memory.

    python benchmarks/training_step.py [--image-size 400 --batch 2 --steps 20 --rounds 3 ...]

Faster R-CNN R50-FPN with LVIS v1's 1,203 classes, on the photos of the LVIS v0.5 sample
(LONGTAIL_SHARED, default ../shared). Lines: both representations by this project and by mmdet
(configs, data loader and transforms of its own, mmengine's loop), and the classifier stage with
plain BCE and with FCBL + hallucination. Every line trains in a process of its own, all of them in
turns, and the median round counts. Seconds are those of the clock on a GPU; on a CPU, where others
may be at work, those of the process, which reads its images itself. Prints a table, the ratios
beside what is aimed at, and one JSON line.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINES = {  # name: (the method of the preset, by whom)
    "representation": ("softmax_1x", "ours"),
    "representation, mmdet": ("softmax_1x", "mmdet"),
    "bce + copy-paste": ("bce", "ours"),
    "bce + copy-paste, mmdet": ("bce", "mmdet"),
    "classifier, BCE": ("plain", "ours"),
    "classifier, FCBL + hallucination": ("bacl", "ours"),
}


def main():
    options = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        run(options, folder)
        rounds = [
            [measured(line, options, folder) for line in LINES] for _ in range(options.rounds)
        ]
    lines = {
        line: median(found) for line, found in zip(LINES, zip(*rounds, strict=True), strict=True)
    }
    compared = ratios({name: line["images_per_second"] for name, line in lines.items()})
    on_gpu = options.device == "cuda"
    goals = {
        "representation / mmdet's": (compared["representation / mmdet's"], ">=", 1.0),
        "bce + copy-paste / mmdet's": (compared["bce + copy-paste / mmdet's"], ">=", 1.0),
        "share of FCBL + hallucination": (
            compared["share of FCBL + hallucination"], "<=", 0.02 if on_gpu else 0.03
        ),
        "classifier, BCE / representation": (
            compared["classifier, BCE / representation"], ">=", 1.5
        ),
    }  # fmt: skip
    show(lines, goals)
    print(json.dumps(dict(vars(options), lines=lines, goals=judged(goals))))


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    shared = os.environ.get("LONGTAIL_SHARED", ROOT.parent / "shared")
    parser.add_argument("--shared", default=str(shared), help="the folder of the sample")
    parser.add_argument("--image-size", type=int, default=800, help="of the short edge (800)")
    parser.add_argument("--batch", type=int, default=2, help="images of a step (2)")
    parser.add_argument("--steps", type=int, default=20, help="that are timed, of a round (20)")
    parser.add_argument("--warmup", type=int, default=3, help="steps before them (3)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, help="that read images (2; on a CPU 0)")
    parser.add_argument("--device", choices=("cuda", "cpu"), help="(cuda where there is one)")
    options = parser.parse_args()
    if options.device is None:
        options.device = "cuda" if cuda_is_there() else "cpu"
    if options.workers is None:
        options.workers = 2 if options.device == "cuda" else 0
    return options


def cuda_is_there():
    import torch

    return torch.cuda.is_available()


def measured(line, options, folder) -> dict:
    found = json.loads(run(options, folder, *LINES[line]).splitlines()[-1])
    print(f"{line}: {found}", flush=True)
    return found


def run(options, folder, *line) -> str:
    """What ``measured_step.py`` prints, in a process of its own; without a line it prepares."""
    script = str(ROOT / "benchmarks/measured_step.py")
    hidden = {} if options.device == "cuda" else {"CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, script, folder, json.dumps(vars(options)), *line],
        env={**os.environ, "PYTHONPATH": str(ROOT), **hidden}, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"{line}: {done.stderr[-3000:]}")
    return done.stdout


def median(rounds) -> dict:
    return {key: statistics.median(found[key] for found in rounds) for key in rounds[0]}


def ratios(speed) -> dict[str, float]:
    plain, whole = (speed[f"classifier, {what}"] for what in ("BCE", "FCBL + hallucination"))
    return {
        "representation / mmdet's": speed["representation"] / speed["representation, mmdet"],
        "bce + copy-paste / mmdet's": speed["bce + copy-paste"] / speed["bce + copy-paste, mmdet"],
        "classifier, BCE / representation": plain / speed["representation"],
        "share of FCBL + hallucination": 1 - whole / plain,
    }


def judged(goals):
    return {
        name: {"found": value, "aimed_at": f"{sign} {goal}", "reached": reached(value, sign, goal)}
        for name, (value, sign, goal) in goals.items()
    }


def reached(value, sign, goal) -> bool:
    return value >= goal if sign == ">=" else value <= goal


def show(lines, goals):
    columns = list(next(iter(lines.values())))
    print(f"\n{'':34}" + "".join(f"{name.replace('_', ' '):>20}" for name in columns))
    for name, line in lines.items():
        print(f"{name:34}" + "".join(f"{line[key]:20.2f}" for key in columns))
    print()
    for name, (value, sign, goal) in goals.items():
        said = "reached" if reached(value, sign, goal) else "missed"
        print(f"{name:34}{value:20.3f}{f'{sign} {goal}: {said}':>20}")


if __name__ == "__main__":
    main()
