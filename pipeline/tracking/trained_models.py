"""Which methods have a model to show, and what MLflow shall know of it. Does not import mlflow."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.files import read_json
from pipeline.serving import model_folder as data_folder
from pipeline.tracking.records import Record, noting
from pipeline.tracking.scale import TAG

# Tags of a model version. IDENTITY says whether a model is there already, VAL and AP which is best.
IDENTITY, VAL, AP = "model_digest", "val_digest", "AP"


@dataclass
class TrainedModel:
    """One method's final model; ``training`` and ``evaluation`` are the records of its runs."""

    method: str
    root: Path
    params: Any
    training: Record
    evaluation: Record
    dataset: tuple  # (name, digest) of the annotations that it was evaluated on
    identity: str
    description: str
    tags: dict = field(default_factory=dict)


def collect_models(project, parent, children, md5_of):
    """The models of the methods that are trained and evaluated; ``md5_of`` as for stale_stages."""
    if not project.params.tracking.models:
        return []
    records = {child.tags["stage"]: child for child in children if child.finished}
    models = []
    for method in project.params.report.methods:
        stage = project.params.method(method).stage
        training, evaluation = records.get(f"{stage}@{method}"), records.get(f"evaluate@{method}")
        md5 = md5_of(project.root / "models" / method / data_folder.WEIGHTS)
        if training and evaluation and md5:
            with noting(project, project.root / "models" / method):
                models.append(trained_model(project, parent, method, training, evaluation, md5))
    return models


def trained_model(project, parent, method, training, evaluation, md5):
    root, params, val = project.root, project.params, project.splits["val"].digest
    identity = data_folder.identity(root, params, method, md5)
    environment = read_json(root / "models" / method / "environment.json")
    commit = environment.get("git_commit") or parent.tags.get("mlflow.source.git.commit")
    tags = {
        IDENTITY: identity,
        VAL: val,
        AP: evaluation.metrics.get("AP"),
        **TAG,
        "weights_md5": md5,
        "config_hash": parent.tags["config_hash"],
        "train_digest": project.splits["train"].digest,
        "seed": params.seed,
        "git_commit": commit,
    }
    return TrainedModel(
        method,
        root,
        params,
        training,
        evaluation,
        (f"{params.data.name}/val", val),
        identity,
        f"{method} of: {parent.name}",
        {key: str(value) for key, value in tags.items() if value is not None},
    )
