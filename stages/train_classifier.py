"""Train some layers (`train`; by default all heads) on a frozen representation (stage 2).

reads   params.yaml (seed, detector, train, classifier.<name>), data/<dataset>/,
        models/<the representation named by `from`>/
writes  models/<name>/: weights.pth, config.py, scalars.jsonl, environment.json and, of a loss that
        keeps a confusion matrix, class_history.npz
resumes from .checkpoints/ after a kill
"""

from pipeline.compute.complete import complete
from pipeline.compute.stage import run_stage
from pipeline.params.scope import load_for


def train_classifier(name: str) -> None:
    settings = load_for("train_classifier", name)
    from pipeline.tracking.background import follower
    from pipeline.training.train_task import training

    complete(training(settings, name, follower(settings)))


if __name__ == "__main__":
    run_stage(train_classifier, __doc__, takes_name=True)
