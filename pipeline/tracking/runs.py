"""Plain records -> MLflow runs. The only module that imports mlflow.

Everything here can be done twice: a run is found by its tags, and only what it lacks is sent.
"""

import hashlib
import json
import logging
import time

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

METRICS_PER_BATCH = 1000
OTHERS_PER_BATCH = 100
EXPERIMENT_TAGS = {
    "mlflow.note.content": (
        "A run is a configuration, its child runs are the stages. Under GenAI they do not show: "
        "switch to Model training, top left."
    )
}
CONTEXTS = {"train": "training", "val": "evaluation"}

for noisy in ("alembic", "mlflow"):
    logging.getLogger(noisy).setLevel(logging.WARNING)


def mirror(uri, experiment, artifact_location, parent, children, datasets, models=()):
    """Bring the runs of one configuration up to date; returns the experiment's id.

    ``datasets`` maps a split to (name, digest, path), ``models`` are TrainedModels. Numbers go
    first, files after, models last: a store of files that fails leaves the numbers complete.
    """
    client = MlflowClient(tracking_uri=uri)
    experiment = open_experiment(client, experiment, artifact_location)
    same = f"tags.kind = 'pipeline' and tags.config_hash = '{parent.tags['config_hash']}'"
    found = find_runs(client, experiment, same)
    parent_run = put_run(client, experiment, parent, only_one(client, found))
    if not parent_run.inputs or not parent_run.inputs.dataset_inputs:
        client.log_inputs(parent_run.info.run_id, [dataset_input(*d) for d in datasets.items()])
    written = [(parent_run, parent)]
    inside = {MLFLOW_PARENT_RUN_ID: parent_run.info.run_id}
    of_parent = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{parent_run.info.run_id}'"
    known = find_runs(client, experiment, of_parent)
    for record in children:
        record.tags |= inside
        same = [run for run in known if run.data.tags.get("stage") == record.tags["stage"]]
        run = put_run(client, experiment, record, only_one(client, same))
        written.append((run, record))
    for run, record in written:
        upload_artifacts(client, run, record)
    put_models(client, experiment, models, {record.name: run for run, record in written[1:]})
    return experiment


def put_models(client, experiment, models, runs):
    for model in models:
        from pipeline.tracking.models import put_model  # imports for seconds

        training, evaluation = runs[model.training.name], runs[model.evaluation.name]
        put_model(client, experiment, model, training, evaluation)


def open_experiment(client, name, artifact_location):
    """The experiment's id; it is made, or taken out of the bin, if need be."""
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return client.create_experiment(name, artifact_location, EXPERIMENT_TAGS)
        except MlflowException:  # another machine was faster, or there is a real reason
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    return experiment.experiment_id


def find_runs(client, experiment, condition):
    return list(client.search_runs([experiment], condition, order_by=["attributes.start_time ASC"]))


def only_one(client, runs):
    """The fullest, or None; the others come from requests whose answer came too late."""
    runs = sorted(runs, key=lambda run: len(run.data.metrics), reverse=True)
    for run in runs[1:]:
        client.delete_run(run.info.run_id)
    return runs[0] if runs else None


def put_run(client, experiment, record, run):
    """Update ``run``, or a new one if it is None or holds the curves of another training."""
    if run and of_another_training(run, record):
        client.delete_run(run.info.run_id)
        run = None
    if run is None:
        run = client.create_run(experiment, record.started, record.tags, record.name)
    log_new_values(client, run, record)
    log_new_points(client, run, record)
    set_status(client, run, record)
    return run


def of_another_training(run, record):
    return record.identity and run.data.tags.get("training", record.identity) != record.identity


def log_new_values(client, run, record):
    now, data = int(time.time() * 1000), run.data
    tags = record.tags | ({"training": record.identity} if record.identity else {})
    new_tags = [RunTag(k, v) for k, v in tags.items() if data.tags.get(k) != v]
    new_params = [Param(k, v) for k, v in record.params.items() if k not in data.params]
    new_metrics = [
        Metric(k, v, now, 0) for k, v in record.metrics.items() if data.metrics.get(k) != v
    ]
    for batch in batches(new_tags, OTHERS_PER_BATCH):
        client.log_batch(run.info.run_id, tags=batch)
    for batch in batches(new_params, OTHERS_PER_BATCH):
        client.log_batch(run.info.run_id, params=batch)
    for batch in batches(new_metrics, METRICS_PER_BATCH):
        client.log_batch(run.info.run_id, metrics=batch)


def log_new_points(client, run, record):
    """Send the curves' points after the last step sent before.

    All carry the run's start as their time: MLflow keeps one of two equal points, so a sync that
    broke off before it set the tag doubles nothing.
    """
    last = int(run.data.tags.get("last_step", -1))
    points = [point for point in record.points if point[2] > last]
    started = run.info.start_time
    for batch in batches(points, METRICS_PER_BATCH):
        metrics = [Metric(key, value, started, step) for key, value, step in batch]
        client.log_batch(run.info.run_id, metrics=metrics)
    if points:
        client.set_tag(run.info.run_id, "last_step", max(step for _, _, step in points))


def set_status(client, run, record):
    wanted = "FINISHED" if record.finished else "RUNNING"
    if run.info.status == wanted and record.ended in (None, run.info.end_time):
        return
    if record.finished:
        client.set_terminated(run.info.run_id, wanted, record.ended)
    else:
        client.update_run(run.info.run_id, wanted)


def upload_artifacts(client, run, record):
    """Copy the files, unless these very bytes were copied before."""
    if not record.artifacts:
        return
    digest = hashlib.md5(usedforsecurity=False)
    for path, folder in record.artifacts:
        digest.update(f"{folder}/{path.name}\n".encode() + path.read_bytes())
    if run.data.tags.get("artifacts") == digest.hexdigest():
        return
    for path, folder in record.artifacts:
        client.log_artifact(run.info.run_id, str(path), folder)
    client.set_tag(run.info.run_id, "artifacts", digest.hexdigest())


def dataset_input(split, dataset):
    name, digest, path = dataset
    source = json.dumps({"uri": str(path)})
    tag = InputTag("mlflow.data.context", CONTEXTS[split])
    return DatasetInput(Dataset(name, digest, "local", source), [tag])


def batches(items, size):
    return (items[start : start + size] for start in range(0, len(items), size))
