"""Remove from .checkpoints/ what the next `dvc repro` would not go on from."""

import contextlib
import shutil
from pathlib import Path

from pipeline.compute.run_folder import prediction_folder, training_folder
from pipeline.files import take_lock
from pipeline.params import Params, Trained

CHECKPOINTS = Path(".checkpoints")


def clean(settings: Params, everything: bool = False, dry_run: bool = False) -> list[str]:
    """Remove the folders of finished runs and of other settings; returns a line for each folder.

    ``everything``: unfinished runs of these settings too. A folder in use stays.
    """
    kept = set() if everything else unfinished(settings)
    folders = sorted(path for path in CHECKPOINTS.glob("*") if path.is_dir())
    return [line_of(folder, folder.resolve() in kept, dry_run) for folder in folders]


def unfinished(settings):
    """The folders that the methods of params.yaml would go on from."""
    found = set()
    for name, method in settings.methods().items():
        if isinstance(method, Trained):
            found |= going_on(training_folder, settings, name, "step_*.pth")
    for name in settings.report.methods:
        found |= going_on(prediction_folder, settings, name, "parts/*")
    return found


def going_on(folder_of, settings, name, saved):
    """One folder or none; where its inputs are not there to tell which, all of this name."""
    try:
        folders = [folder_of(settings, name)]
    except FileNotFoundError:
        prefix = "predict-" if folder_of is prediction_folder else ""
        folders = [path.resolve() for path in CHECKPOINTS.glob(f"{prefix}{name}-*")]
    return {folder for folder in folders if any(folder.glob(saved))}


def line_of(folder, keep, dry_run):
    """Remove the folder, unless it is kept or in use; says what was done."""
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) // 2**20
    with contextlib.ExitStack() as held:
        if keep:
            return f"kept     {size:6} MB  {folder}: unfinished, of this params.yaml"
        if not take_lock(folder, held):
            return f"kept     {size:6} MB  {folder}: in use"
        if not dry_run:
            shutil.rmtree(folder)
        return f"{'would go' if dry_run else 'removed '} {size:6} MB  {folder}"
