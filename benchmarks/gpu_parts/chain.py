"""The project's own commands, run in a copy of it."""

import os
import subprocess
import sys
from pathlib import Path

from sample import ROOT


def copied(preset, device, changes=()) -> Path:
    """A copy that uses the preset with ``changes``, texts of its file and what replaces them."""
    folder = Path(preset).resolve()
    run([sys.executable, "-m", "pipeline.presets", "copy", preset, str(folder)], ROOT, device)
    file = folder / "params.yaml"
    text = file.read_text(encoding="utf-8")
    for old, new in dict(changes).items():
        assert old in text, f"{preset} has no {old!r}"
        text = text.replace(old, new)
    if device == "cpu":
        text = text.replace("gpus: auto", "gpus: 0")
    file.write_text(text, encoding="utf-8")
    return folder


def stage(folder, device, name, *method):
    run([sys.executable, "-m", f"stages.{name}", *method], folder, device)


def run(command, folder, device) -> str:
    """What it prints; a failure has its last line."""
    own = {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    if device == "cpu":
        own |= {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **own},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    if done.returncode:
        print(done.stdout, file=sys.stderr)
        last = done.stdout.strip().rpartition("\n")[2]
        raise RuntimeError(f"{' '.join(map(str, command[1:4]))}: {last}")
    return done.stdout
