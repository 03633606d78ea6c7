"""Where a training or a prediction keeps what it has done, so that a killed one goes on.

The folder lies outside DVC's outputs (which DVC deletes before a stage runs) and is named by the
stage's identity and what it reads of other stages, so it never serves another experiment. Imports
no torch.
"""

import os
from pathlib import Path

from pipeline.data.places import data_folder, index_folder
from pipeline.files import file_digest
from pipeline.params import Params
from pipeline.runs.identity import digest, stage_inputs


def training_folder(params: Params, name: str) -> Path:
    """``.checkpoints/<name>-<digest>``."""
    method = params.method(name)
    read = data_files(params, "train")
    if method.start:
        read.append(Path("models", method.start, "weights.pth"))
    return run_folder(name, stage_inputs(params, method.stage, name), read)


def prediction_folder(params: Params, name: str) -> Path:
    """``.checkpoints/predict-<name>-<digest>``."""
    model = Path("models", name)
    read = [model / "config.py", model / "weights.pth", *data_files(params, "val")]
    return run_folder(f"predict-{name}", stage_inputs(params, "predict", name), read)


def run_folder(name, inputs, read) -> Path:
    """In the project, also from DVC's temporary copies of it."""
    project = Path(os.environ.get("DVC_ROOT", "."))
    key = digest([inputs, [file_digest(path) for path in read]])
    return (project / ".checkpoints" / f"{name}-{key}").resolve()


def data_files(params, split) -> list[Path]:
    """The annotations, and generated images themselves; of images that stay in place, the list."""
    folder = data_folder(params)
    images = sorted(folder.glob(f"images/{split}/*"))
    return [Path(index_folder(params, split), "digest.txt"), *folder.glob("images.csv"), *images]
