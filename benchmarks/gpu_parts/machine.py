"""What the machine as a whole does: the chains, their memory and speed, leases."""

import json
import math
import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

from sample import ROOT

from gpu_parts import Missed, NotHere
from gpu_parts.chain import copied, run
from pipeline.compute.gpus import visible_gpus
from pipeline.files import read_json

T_95 = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78}  # Student's t by the number of seeds
LEASE = """
import sys
from pipeline.compute.leases import leased
from pipeline.params import Compute
with leased(Compute(gpus=1), lambda count: True) as (gpu,):
    print(gpu, flush=True)
    sys.stdin.read()
"""


def shared_folder() -> Path:
    folder = Path(os.environ.get("LONGTAIL_SHARED", ROOT.parent / "shared"))
    if not (folder / "data/lvis_v0.5_sample").is_dir():
        raise NotHere("no LVIS sample: set LONGTAIL_SHARED to the folder of shared data")
    return folder


def smoke(device):
    """The whole chain at toy size, in a copy of the project."""
    return chain("smoke", device)


def default(device):
    """The default in a copy: every method's AP lies where another seed's would on a CPU."""
    found = chain("symbols", device)
    outside, unknown = [], []
    for method, score in found["AP"].items():
        low, high = expected(method)
        found[f"{method} expected"] = [low, high]
        unknown += [method] if math.isinf(high) else []
        outside += [] if low <= score <= high else [method]
    if outside:
        raise Missed(f"AP of {', '.join(outside)} is not that of a CPU", found)
    if unknown:
        raise Missed(f"reports/seeds.json has no other seed of {', '.join(unknown)}", found)
    return found


def chain(preset, device) -> dict:
    folder, began = copied(preset, device), time.monotonic()
    run(["dvc", "repro"], folder, device)
    metrics = {path.stem: read_json(path) for path in folder.glob("reports/metrics/*.json")}
    assert (folder / "reports/index.html").is_file(), "there is no report"
    ap = {name: round(100 * found["AP"], 2) for name, found in sorted(metrics.items())}
    return {"AP": ap, "minutes": round((time.monotonic() - began) / 60, 1)}


def expected(method) -> tuple[float, float]:
    """The 95 % prediction interval of another seed's AP in percent, from the committed seeds."""
    reports = ROOT / "reports"
    of_seeds = read_json(reports / "seeds.json").get(method, {})
    runs = [
        read_json(reports / f"metrics/{method}.json"),
        *(e["metrics"] for e in of_seeds.values()),
    ]
    values = [100 * metrics["AP"] for metrics in runs]
    if len(values) == 1:
        return -math.inf, math.inf
    deviation = statistics.stdev(values) * math.sqrt(1 + 1 / len(values))
    reach = T_95.get(len(values), 2.57) * deviation
    return round(statistics.mean(values) - reach, 2), round(statistics.mean(values) + reach, 2)


def training_step(device):
    """Ours beside plain mmdet: every goal of training_step.py is reached."""
    options = ("--shared", str(shared_folder()), "--batch", "4", "--steps", "30", "--rounds", "2")
    found = benchmark("training_step.py", *options, "--warmup", "8", "--device", device)
    missed = [name for name, goal in found["goals"].items() if not goal["reached"]]
    figures = {**found["lines"], **{name: goal["found"] for name, goal in found["goals"].items()}}
    if missed:
        raise Missed(f"missed: {', '.join(missed)}", figures)
    return figures


def memory(device):
    """One step of each stage of every LVIS preset takes no more than its file says."""
    shared, found, above = shared_folder(), {}, []
    for path in sorted((ROOT / "configs/presets").glob("lvis_*.yaml")):
        said = int(re.search(r"(\d+) GB", path.read_text(encoding="utf-8"))[1])
        work = Path(path.stem).resolve()
        work.mkdir()
        options = ("--batch", "4", "--images-per-gpu", "2")
        peak = benchmark("preset_steps.py", path.stem, str(shared), str(work), *options)["peak_gb"]
        found[path.stem] = peak
        above += [path.stem] if peak > said else []
    if above:
        raise Missed(f"more than their files say: {', '.join(above)}", found)
    return found


def benchmark(script, *options) -> dict:
    command = [sys.executable, str(ROOT / "benchmarks" / script), *options]
    return json.loads(run(command, Path.cwd(), "cuda").splitlines()[-1])


def leases(device):
    """Of one process more than there are GPUs the last waits, until another one is killed."""
    gpus = len(visible_gpus())
    holders = [lease() for _ in range(gpus)]
    names = [holder.stdout.readline().strip() for holder in holders]
    if any(name.startswith("waiting") for name in names):
        raise NotHere("other processes hold GPUs")
    assert len(set(names)) == gpus, f"a GPU is leased twice: {names}"
    late = lease()
    said = late.stdout.readline()
    assert said.startswith("waiting"), f"instead of waiting it said {said!r}"
    holders[0].kill()
    assert late.stdout.readline().strip() == names[0], "the GPU of a killed process is not free"
    for process in (*holders[1:], late):
        process.communicate("")
    return {"GPUs": gpus}


def lease():
    return subprocess.Popen(
        [sys.executable, "-c", LEASE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
