"""Does this project do on this GPU what it does on a CPU, and how fast? Half an hour at most.

    python benchmarks/gpu_check.py [--only PART ...] [--list] [--device cpu]

Each part ends as pass, fail or "not here" (with what the machine lacks), and the others go on after
a fail. Writes reports/gpu/<device>.json and a table beside it, <device>.md; with --only into what
is there. The exit code is 0 where nothing failed. --device cpu runs the parts that make sense on a
CPU, and writes only where --out says.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gpu_parts import PARTS

ROOT = Path(__file__).resolve().parent.parent
ON_CPU = 10  # times as long a part may take there


def main() -> int:
    options = parse_arguments()
    if options.list:
        print("\n".join(PARTS))
        return 0
    about = run_child("about", options.device, 120)["figures"]
    absent = options.device == "cuda" and not about["cuda"]
    results = {}
    for name in options.only or PARTS:
        results[name] = {"result": "not here", "reason": "no CUDA device", "seconds": 0.0}
        if not absent and (options.device == "cuda" or PARTS[name].on_cpu):
            results[name] = run_child(name, options.device, limit(name, options.device))
        print(line(name, results[name]), flush=True)
    if options.out or (options.device == "cuda" and not absent):
        write(options.out or ROOT / "reports/gpu", about, results)
    return int(any(found["result"] == "fail" for found in results.values()))


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help="(all)")
    parser.add_argument("--list", action="store_true", help="name the parts")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--out", type=Path, help="the folder to write into")
    return parser.parse_args()


def limit(name, device):
    return PARTS[name].seconds * (1 if device == "cuda" else ON_CPU)


def run_child(name, device, seconds) -> dict:
    """The outcome of a part, run in a process and a folder of its own; what it starts ends too."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, open(Path(folder, "errors"), "w+") as errors:
        child = subprocess.Popen(
            [sys.executable, "-m", "gpu_parts", name, device],
            cwd=folder, env=environment(device), text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=errors,
        )  # fmt: skip
        try:
            said, _ = child.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            found = {"result": "fail", "reason": f"took longer than {seconds} s"}
        else:
            errors.seek(0)
            found = outcome(child.returncode, said, errors.read())
        end(child)
    return {**found, "seconds": round(time.monotonic() - began, 1)}


def environment(device):
    paths = os.pathsep.join([str(ROOT / "benchmarks"), str(ROOT)])
    hidden = {} if device == "cuda" else {"CUDA_VISIBLE_DEVICES": ""}
    return {**os.environ, "PYTHONPATH": paths, **hidden}


def outcome(code, said, errors) -> dict:
    if code == 0:
        return json.loads(said.splitlines()[-1])
    print(errors, file=sys.stderr)
    return {"result": "fail", "reason": errors.strip().rpartition("\n")[2] or f"exit code {code}"}


def end(child):
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    child.wait()


def line(name, found) -> str:
    said = found.get("reason") or json.dumps(found.get("figures", {}))
    return f"{name:14} {found['result']:9} {found['seconds']:7.1f} s  {said}"


def write(folder, about, results):
    """The report; of parts that did not run now, what an earlier one says."""
    slug = re.sub(r"[^a-z0-9]+", "-", about["device"].lower()).strip("-")
    file = Path(folder, f"{slug}.json")
    file.parent.mkdir(parents=True, exist_ok=True)
    earlier = json.loads(file.read_text())["parts"] if file.is_file() else {}
    parts = {name: {**earlier, **results}[name] for name in PARTS if name in {**earlier, **results}}
    file.write_text(json.dumps({**about, "parts": parts}, indent=1, ensure_ascii=False) + "\n")
    file.with_suffix(".md").write_text(table(about, parts))
    print(f"\n{file}\n{file.with_suffix('.md')}")


def table(about, parts) -> str:
    rows = [
        f"| {name} | {found['result']} | {found['seconds']:.0f} | "
        f"{found.get('reason', '')} {figures(found)} |"
        for name, found in parts.items()
    ]
    head = ", ".join(f"{key} {value}" for key, value in about.items() if key != "device")
    title = f"{about['device']} ({head})"
    columns = ["| part | result | seconds | what was found |", "|---|---|---:|---|"]
    return "\n".join([title, "", *columns, *rows]) + "\n"


def figures(found) -> str:
    return "; ".join(f"{name}: {value}" for name, value in found.get("figures", {}).items())


if __name__ == "__main__":
    sys.exit(main())
