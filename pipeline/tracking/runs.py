"""Plain records -> MLflow runs. What is imported from here alone may import mlflow.

Everything here can be done twice: a run is found by its tags, and only what it lacks is sent.
"""

import json
import logging
import time
from dataclasses import dataclass, field
from itertools import zip_longest

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    BAD_REQUEST,
    RESOURCE_ALREADY_EXISTS,
    RESOURCE_DOES_NOT_EXIST,
    ErrorCode,
)
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from pipeline.tracking import artifacts as places
from pipeline.tracking import store
from pipeline.tracking.known_runs import child_of, find_known, is_outdated, throw_away
from pipeline.tracking.opening import no_files, open_experiment
from pipeline.tracking.uploads import upload_artifacts

METRICS_PER_BATCH = 800  # MLflow takes 1000 items in a request, of these 100 params and 100 tags
OTHERS_PER_BATCH = 100
LONGEST_PARAM = 6000  # MLflow's; cut here, or it warns of each
TRIES = 10  # each of several mirrors may be overtaken at each kind of row
OVERTAKEN = {
    ErrorCode.Name(code) for code in (BAD_REQUEST, RESOURCE_ALREADY_EXISTS, RESOURCE_DOES_NOT_EXIST)
}

for noisy in ("alembic", "mlflow"):
    logging.getLogger(noisy).setLevel(logging.WARNING)


def mirror(*arguments):
    """``mirror_once``, again where another mirror was faster.

    MLflow looks for a row and then makes it (data sets, models, aliases); of two mirrors that do so
    at once, its database refuses one, which finds the other's row the next time.
    """
    for left in reversed(range(TRIES)):
        try:
            return mirror_once(*arguments)
        except MlflowException as error:
            if not left or error.error_code not in OVERTAKEN:
                raise


@dataclass
class Mirrored:
    """``elsewhere``: by a colleague's checkout. ``notes``: what was left alone, and why."""

    experiment: str
    elsewhere: bool = False
    notes: list = field(default_factory=list)


def mirror_once(target, parent, children, datasets, models=()):
    """Bring the runs of one configuration up to date.

    ``datasets`` are those of pipeline/tracking/datasets.py, ``models`` TrainedModels. Numbers go
    first, files after, models last: a store of files that fails leaves the numbers complete.
    ``NotOurs`` where the experiment is not this project's.
    """
    client = MlflowClient(tracking_uri=store.address(target.uri))
    opened = open_experiment(client, target)
    experiment = opened.experiment_id
    known = find_known(client, experiment, parent, children)
    if known.elsewhere:
        return Mirrored(experiment, elsewhere=True)
    parent_run = put_run(client, experiment, parent, known.parent)
    put_datasets(client, parent_run, datasets)
    written = []
    inside = {MLFLOW_PARENT_RUN_ID: parent_run.info.run_id}
    for record in children:
        record.tags |= inside | {"project": parent.tags["project"]}
        run = child_of(client, known, record.tags["stage"])
        if run and is_outdated(run, record):
            throw_away(client, run)
            run = None
        run = put_run(client, experiment, record, run)
        set_status(client, run, record)
        written.append((run, record))
    # a finished one is known again by its children's trainings, so it is finished after them
    set_status(client, parent_run, parent)
    throw_away(client, *known.replaced)  # their children have moved to the new one
    if places.is_of_server(opened.artifact_location, target.artifacts, target.uri):
        return Mirrored(experiment, notes=[no_files(opened)])
    for run, record in [(parent_run, parent), *written]:
        upload_artifacts(client, run, record)
    runs = {record.name: run for run, record in written}
    return Mirrored(experiment, notes=put_models(client, target, experiment, models, runs))


def put_datasets(client, run, datasets):
    if not (run.inputs and run.inputs.dataset_inputs):
        client.log_inputs(run.info.run_id, [dataset_input(record) for record in datasets])


def put_models(client, target, experiment, models, runs):
    """Notes of what was left alone."""
    notes = []
    for model in models:
        from pipeline.tracking.models import put_model  # imports for seconds

        training, evaluation = runs[model.training.name], runs[model.evaluation.name]
        notes += put_model(client, target, experiment, model, training, evaluation)
    return notes


def put_run(client, experiment, record, run):
    """Update ``run``, or a new one if it is None, but for its status."""
    if run is None:
        run = client.create_run(experiment, record.started, record.tags, record.name)
    log_new_values(client, run, record)
    log_new_points(client, run, record)
    return run


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
    requests = zip_longest(
        batches(new_metrics, METRICS_PER_BATCH),
        batches(new_params, OTHERS_PER_BATCH),
        batches(new_tags, OTHERS_PER_BATCH),
        fillvalue=(),
    )
    for request in requests:
        client.log_batch(run.info.run_id, *request)


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


def dataset_input(record):
    tag = InputTag("mlflow.data.context", record.context)
    source, profile = json.dumps(record.source), json.dumps(record.profile)
    dataset = Dataset(record.name, record.digest, record.source_type, source, profile=profile)
    return DatasetInput(dataset, [tag])


def batches(items, size):
    return (items[start : start + size] for start in range(0, len(items), size))
