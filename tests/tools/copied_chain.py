"""The project's own chain under real DVC, but for stages that copy their results, not compute."""

import os
import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML

MADE = ("data/", "models/", "predictions/", "reports/")


def run(folder, *command, check=True, **variables):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, "PATH": path, "SHELL": "/bin/sh", **variables},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def chain(root, results, computed=()):
    """dvc.yaml's content; all stages but ``computed`` copy from the folder ``results``."""
    found = YAML(typ="safe").load(root / "dvc.yaml")
    del found["plots"]
    for name, stage in found["stages"].items():
        if name not in computed:
            copying(stage, results)
    return found


def copying(stage, results):
    body = stage.get("do", stage)
    outs = [*body.get("outs", []), *body.get("metrics", [])]
    paths = [out if isinstance(out, str) else next(iter(out)) for out in outs]
    words = [f"mkdir -p $(dirname {path}) && cp -r {results}/{path} {path}" for path in paths]
    body["cmd"] = " && ".join(words) or "true"
    body["deps"] = [dep for dep in body.get("deps", []) if dep.startswith(MADE)]
