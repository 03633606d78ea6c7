"""Train a representation: the whole detector (stage 1).

reads   params.yaml (seed, detector, train, representation.<name>), data/<dataset>/
writes  models/<name>/: weights.pth, config.py, scalars.jsonl, environment.json
resumes from .checkpoints/ after a kill
"""

from pipeline.compute.complete import complete
from pipeline.compute.stage import run_stage
from pipeline.params.scope import load_for


def train_representation(name: str) -> None:
    settings = load_for("train_representation", name)
    from pipeline.tracking.background import follower
    from pipeline.training.train_task import training

    complete(training(settings, name, follower(settings)))


if __name__ == "__main__":
    run_stage(train_representation, __doc__, takes_name=True)
