"""Where a training or a prediction keeps what it has done, so that a killed one goes on.

The folder lies outside DVC's outputs (which DVC deletes before a stage runs) and is named by a
hash of everything that defines the run, so it never serves another experiment. Imports no torch.
"""

import hashlib
import importlib.metadata
import json
import os
from dataclasses import asdict
from pathlib import Path

from pipeline.data.places import data_folder, index_folder
from pipeline.files import file_digest
from pipeline.params import Classifier, Params

PACKAGES = ("torch", "onedl-mmcv", "onedl-mmengine", "onedl-mmdetection", "numpy")


def training_folder(params: Params, name: str) -> Path:
    """``.checkpoints/<name>-<hash>``."""
    return run_folder(name, training_key(params, name))


def prediction_folder(params: Params, name: str) -> Path:
    """``.checkpoints/predict-<name>-<hash>``."""
    return run_folder(f"predict-{name}", prediction_key(params, name))


def run_folder(name, key):
    """In the project, also from DVC's temporary copies of it."""
    project = Path(os.environ.get("DVC_ROOT", "."))
    return (project / ".checkpoints" / f"{name}-{key}").resolve()


def training_key(params, name):
    block = params.method(name)
    defining = {
        "seed": params.seed,
        "detector": asdict(params.detector),
        "train": asdict(params.train),
        "block": asdict(block),
    }
    return key_of(defining, training_files(params, block))


def prediction_key(params, name):
    defining = {"predict": asdict(params.predict), "image_scale": params.detector.image_scale}
    model = Path("models", name)
    files = [model / "config.py", model / "weights.pth", *data_files(params, "val")]
    return key_of(defining, files)


def key_of(defining, files):
    """Another version of a package computes other numbers, so a run does not go on with it."""
    defining["packages"] = {package: importlib.metadata.version(package) for package in PACKAGES}
    defining["files"] = [file_digest(path) for path in files]
    return hashlib.sha256(json.dumps(defining, sort_keys=True).encode()).hexdigest()[:16]


def training_files(params, block):
    """Data, initial weights and the code of the method."""
    files = data_files(params, "train")
    if isinstance(block, Classifier):
        files.append(Path("models", block.start, "weights.pth"))
    weights = Path(params.detector.weights or "").expanduser()
    if weights.is_file():
        files.append(weights)
    return files


def data_files(params, split):
    """The annotations, and generated images themselves; of images that stay in place, the list."""
    folder = data_folder(params)
    images = sorted(folder.glob(f"images/{split}/*"))
    return [Path(index_folder(params, split), "digest.txt"), *folder.glob("images.csv"), *images]
