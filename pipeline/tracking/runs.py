"""Plain records -> MLflow runs. The only module that imports mlflow.

Everything here can be done twice: a run is found by its tags, and only what it lacks is sent.
"""

import hashlib
import json
import logging
import time

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from pipeline.tracking import views

METRICS_PER_BATCH = 1000
OTHERS_PER_BATCH = 100
LONGEST_PARAM = 6000  # MLflow's; cut here, or it warns of each
EXPERIMENT_TAGS = {
    "mlflow.note.content": (
        "A run is a configuration, its child runs are the stages. Under GenAI they do not show: "
        "switch to Model training, top left."
    )
}
SUPERSEDED = "superseded"  # the tag of runs that the mirror itself has thrown away

for noisy in ("alembic", "mlflow"):
    logging.getLogger(noisy).setLevel(logging.WARNING)


def mirror(uri, experiment, artifact_location, parent, children, datasets, models=()):
    """Bring the runs of one configuration up to date; returns the experiment's id.

    ``datasets`` are those of pipeline/tracking/datasets.py, ``models`` TrainedModels. Numbers go
    first, files after, models last: a store of files that fails leaves the numbers complete.
    """
    client = MlflowClient(tracking_uri=uri)
    experiment = open_experiment(client, experiment, artifact_location)
    same = f"tags.kind = 'pipeline' and tags.config_hash = '{parent.tags['config_hash']}'"
    found = find_runs(client, experiment, same)
    parent_run = put_run(client, experiment, parent, only_one(client, found))
    if not parent_run.inputs or not parent_run.inputs.dataset_inputs:
        client.log_inputs(parent_run.info.run_id, [dataset_input(d) for d in datasets])
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
    """The experiment's id; it is made, or taken out of the bin, and given its views, if need be."""
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            return client.create_experiment(name, artifact_location, EXPERIMENT_TAGS | views.tags())
        except MlflowException:  # another machine was faster, or there is a real reason
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    for key in views.tags().keys() - experiment.tags.keys():
        client.set_experiment_tag(experiment.experiment_id, key, views.tags()[key])
    return experiment.experiment_id


def find_runs(client, experiment, condition):
    """Also those that a user put in the bin: the mirror shows what the files say."""
    order, found, token = ["attributes.start_time ASC"], [], None
    while token is None or token:
        page = client.search_runs([experiment], condition, ViewType.ALL, 1000, order, token)
        found += [run for run in page if SUPERSEDED not in run.data.tags]
        token = page.token or ""
    return found


def only_one(client, runs):
    """The fullest, out of the bin if need be, or None.

    The others come from requests whose answer came too late.
    """
    runs = sorted(runs, key=lambda run: (is_active(run), len(run.data.metrics)), reverse=True)
    for run in runs[1:]:
        throw_away(client, run)
    if runs and not is_active(runs[0]):
        client.restore_run(runs[0].info.run_id)
    return runs[0] if runs else None


def is_active(run):
    return run.info.lifecycle_stage == "active"


def throw_away(client, run):
    if not is_active(run):  # its tags cannot be set
        client.restore_run(run.info.run_id)
    client.set_tag(run.info.run_id, SUPERSEDED, "true")
    client.delete_run(run.info.run_id)


def put_run(client, experiment, record, run):
    """Update ``run``, or a new one if it is None or holds the curves of another training."""
    if run and of_another_training(run, record):
        throw_away(client, run)
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
    new_params = [
        Param(k, v[:LONGEST_PARAM]) for k, v in record.params.items() if k not in data.params
    ]
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

    Their times follow from the run's start and the file alone: MLflow keeps one of two equal
    points, so a sync that broke off before it set the tag doubles nothing.
    """
    last = int(run.data.tags.get("last_step", -1))
    points = [point for point in record.points if point[2] > last]
    started = run.info.start_time
    for batch in batches(points, METRICS_PER_BATCH):
        metrics = [Metric(key, value, started + ms, step) for key, value, step, ms in batch]
        client.log_batch(run.info.run_id, metrics=metrics)
    if points:
        client.set_tag(run.info.run_id, "last_step", max(step for _, _, step, _ in points))


def set_status(client, run, record):
    """The end counts from the run's start, which stays when an older stage joins later."""
    ended = run.info.start_time + record.lasted
    if record.finished:
        if (run.info.status, run.info.end_time) != ("FINISHED", ended):
            client.set_terminated(run.info.run_id, "FINISHED", ended)
    elif run.info.status != "RUNNING":
        client.update_run(run.info.run_id, "RUNNING")


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


def dataset_input(record):
    tag = InputTag("mlflow.data.context", record.context)
    source, profile = json.dumps(record.source), json.dumps(record.profile)
    dataset = Dataset(record.name, record.digest, record.source_type, source, profile=profile)
    return DatasetInput(dataset, [tag])


def batches(items, size):
    return (items[start : start + size] for start in range(0, len(items), size))
