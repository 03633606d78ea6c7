"""Where a training run keeps its checkpoints, so that a killed one goes on.

The folder lies outside DVC's outputs (which DVC deletes before a stage runs) and is named by a
hash of everything that defines the run, so it never serves another experiment's checkpoints.
"""

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path

import torch

from pipeline.files import file_digest
from pipeline.params import Classifier, Params
from pipeline.training.hooks import checkpoint_files
from pipeline.training.recipe import ROOT, index_folder


def run_folder(params: Params, name: str, start_weights: Path | None) -> Path:
    """``.checkpoints/<name>-<hash>``, also from DVC's temporary copies of the project."""
    project = Path(os.environ.get("DVC_ROOT", "."))
    return (project / ".checkpoints" / f"{name}-{run_key(params, name, start_weights)}").resolve()


def run_key(params, name, start_weights):
    block = params.method(name)
    defining = {
        "seed": params.seed,
        "detector": asdict(params.detector),
        "train": asdict(params.train),
        "block": asdict(block),
        "files": [file_digest(path) for path in defining_files(params, block, start_weights)],
    }
    return hashlib.sha256(json.dumps(defining, sort_keys=True).encode()).hexdigest()[:16]


def defining_files(params, block, start_weights):
    """Data, initial weights and the code of the method."""
    files = [Path(index_folder(params, "train"), "digest.txt"), *train_images(params)]
    if start_weights:
        files.append(start_weights)
    weights = Path(params.detector.weights or "").expanduser()
    if weights.is_file():
        files.append(weights)
    return files + [ROOT / path for path in defining_code(params, block)]


def train_images(params):
    """Generated images themselves; of images that stay in place, the manifest."""
    folder = Path("data", params.data.name)
    return [*folder.glob("images.csv"), *sorted(folder.glob("images/train/*"))]


def defining_code(params, block):
    """The code that a trained model depends on; dvc.yaml names the same files (tested)."""
    files = [
        f"configs/detectors/{params.detector.config}.py",
        "configs/detectors/faster_rcnn_r50_fpn.py",  # the base of the other large ones
        f"pipeline/detection/losses/{block.loss.type}.py",
        "pipeline/detection/bbox_head.py",
        "pipeline/detection/dataset.py",
        "pipeline/detection/precision.py",
        "pipeline/detection/scoring.py",
        "pipeline/detection/step_statistics.py",
        "pipeline/training/augmentation.py",
        "pipeline/training/backbone.py",
        "pipeline/training/batches.py",
        "pipeline/training/loop.py",
        "pipeline/training/recipe.py",
    ]
    if isinstance(block, Classifier):
        files += [
            "pipeline/detection/hallucination.py",
            "pipeline/detection/hooks.py",
            "pipeline/detection/roi_head.py",
        ]
    return files


def newest_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that loads; a damaged one is set aside with a message."""
    for path in checkpoint_files(folder):
        try:
            torch.load(path, map_location="cpu", weights_only=False, mmap=True)
            return path
        except Exception as error:  # any damage: zip, pickle and runtime errors differ by place
            print(f"{path} is damaged ({type(error).__name__}); trying the one before", flush=True)
            path.rename(path.with_suffix(".damaged"))
    return None
