"""A trained method with corrected scores: the same weights, and a config with the calibration."""

import shutil
from datetime import datetime, timezone
from pathlib import Path

from mmengine.config import Config

from pipeline.data.places import categories
from pipeline.detection import class_weights
from pipeline.detection.families import family_of
from pipeline.detection.model import config_of, statistic
from pipeline.files import atomic_folder, write_json
from pipeline.params import Params
from pipeline.runs import git_state
from pipeline.training.start import check_start


def calibrate(params: Params, name: str) -> None:
    """Write ``models/<name>/`` from the model that ``calibration.<name>`` starts from.

    Whether that gives the scores that the calibration corrects is checked before any work, in
    ``pipeline.detection.wiring``.
    """
    block = params.calibration[name]
    start = Path("models", block.start)
    check_start(params, start)
    config = Config.fromfile(start / "config.py")
    part = config_of(
        block.calibrator, len(categories(params)), lambda which: statistic(params, which)
    )
    family_of(config.model).calibrate(config.model, part)
    with atomic_folder(Path("models", name)) as out:
        for file in ("weights.pth", class_weights.FILE):
            shutil.copyfile(start / file, out / file)
        config.dump(out / "config.py")
        write_json(out / "environment.json", origin(name, block))


def origin(name, block) -> dict:
    """``environment.json``: nothing was trained."""
    now = datetime.now(timezone.utc)
    return {
        "stage": block.stage,
        "name": name,
        "started": now.isoformat(timespec="seconds"),
        "source": f"models/{block.start}",
        "git_commit": git_state.commit(),
        "git_dirty": git_state.is_dirty(),
    }
