"""`evaluate` against lvis-api: the same numbers, how much faster and in how much less memory.

    python benchmarks/lvis_api_ratio.py --categories lvis_v1_train_cat_info.json [--images 1000]

On generated annotations and 300 detections an image (report_scale_project.py): AP and AP-fixed of
each, in fresh processes, reading included. Needs the package `lvis` (the extra `test`) and about
1.2 GB for every 1,000 images. Ends with an error if a number differs by more than 1e-9.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from report_scale_project import METHODS, NAME, write_project

ROOT = Path(__file__).resolve().parents[1]
PER_CATEGORY = 10_000


def ours(annotations, predictions):
    sys.path.insert(0, str(ROOT))
    from pipeline.evaluation.evaluate import evaluate_files

    return evaluate_files(annotations, predictions).metrics


def lvis_api(annotations, predictions):
    import numpy as np
    import pandas as pd

    np.float = float  # lvis 0.5.3 says so, and numpy 1.24 removed it
    from lvis import LVIS

    truth, table = LVIS(annotations), pd.read_parquet(predictions)
    best = table.sort_values("score", ascending=False, kind="stable")
    best = best.groupby("category_id").head(PER_CATEGORY).sort_index()
    fixed = run_lvis_api(truth, best, -1)
    return {
        **run_lvis_api(truth, table, 300),
        **{f"fixed/{key}": value for key, value in fixed.items()},
    }


def run_lvis_api(truth, table, limit):
    from lvis import LVISEval, LVISResults

    columns = (table[name].tolist() for name in ("image_id", "category_id", *"xywh", "score"))
    results = [
        {"image_id": i, "category_id": c, "bbox": box, "score": s}
        for i, c, *box, s in zip(*columns, strict=True)
    ]
    evaluation = LVISEval(truth, LVISResults(truth, results, max_dets=limit), "bbox")
    evaluation.params.max_dets = limit
    evaluation.run()
    found = evaluation.get_results()
    return {k.replace(f"@{limit}", "@300"): v for k, v in found.items() if v > -1}


def child(name, annotations, predictions):
    start = time.perf_counter()
    metrics = {"ours": ours, "lvis_api": lvis_api}[name](annotations, predictions)
    seconds = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"metrics": metrics, "seconds": seconds, "gigabytes": memory}))


def measure(name, folder):
    files = [f"{folder}/data/{NAME}/val.json", f"{folder}/predictions/{METHODS[0]}.parquet"]
    command = [sys.executable, __file__, "--child", name, *files]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def compare(folder):
    results = {name: measure(name, folder) for name in ("lvis_api", "ours")}
    theirs, mine = results["lvis_api"]["metrics"], results["ours"]["metrics"]
    keys = [key for key in theirs if key in mine]
    largest = max(abs(theirs[key] - mine[key]) for key in keys)
    for name, found in results.items():
        print(f"{name:9} {found['seconds']:7.1f} s  {found['gigabytes']:5.2f} GB")
    ratio = {
        key: results["lvis_api"][key] / results["ours"][key] for key in ("seconds", "gigabytes")
    }
    print(f"lvis-api / ours: time {ratio['seconds']:.0f}, memory {ratio['gigabytes']:.1f}")
    print(f"largest of {len(keys)} differences: {largest:.1e}")
    if largest > 1e-9:
        sys.exit("the numbers differ")


def main():
    if sys.argv[1:2] == ["--child"]:
        return child(*sys.argv[2:])
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--categories", type=Path, required=True, help="LVIS's category table")
    parser.add_argument("--images", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "project")
        compare(write_project(folder, options.categories, options.images, METHODS[:1]))


if __name__ == "__main__":
    main()
