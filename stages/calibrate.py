"""Correct the scores of a trained method; nothing is trained.

reads   params.yaml (calibration.<name>), data/<dataset>/,
        models/<the method named by `from`>/
writes  models/<name>/: the same weights.pth, config.py with the calibration, environment.json
"""

from pipeline.compute.stage import run_stage
from pipeline.params.scope import load_for


def calibrate(name: str) -> None:
    settings = load_for("calibrate", name)
    from pipeline.training.calibrate import calibrate as run

    run(settings, name)


if __name__ == "__main__":
    run_stage(calibrate, __doc__, takes_name=True)
