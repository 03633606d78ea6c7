"""Import a checkpoint that was trained elsewhere; nothing is trained.

reads   params.yaml (detector.config, pretrained.<name>), data/<dataset>/categories.csv, the file
        that pretrained.<name>.weights names
writes  models/<name>/: weights.pth, config.py, environment.json
"""

from pipeline.compute.stage import run_stage
from pipeline.params.scope import load_for


def import_checkpoint(name: str) -> None:
    settings = load_for("import_checkpoint", name)
    from pipeline.weights.import_checkpoint import import_checkpoint as run

    run(settings, name)


if __name__ == "__main__":
    run_stage(import_checkpoint, __doc__, takes_name=True)
