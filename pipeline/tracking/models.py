"""Trained models -> MLflow's models and its registry.

Every step can be done twice: a model is found by the digest in its tags, and a killed upload is
taken up again. Imported only where there is a model, because mlflow.pyfunc takes seconds.
"""

import tempfile
from pathlib import Path

from mlflow.entities import LoggedModelOutput, Metric
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

from pipeline.serving import package
from pipeline.tracking.store import still_there
from pipeline.tracking.trained_models import AP, IDENTITY, VAL

ALIAS = "best"
RULE = (
    "A version is a training of this method. `best` is the version with the highest AP on the val "
    "annotations that the newest version was evaluated on; of equal ones the oldest."
)
MODEL_ID = "model_id"  # a tag, because a version's own field does not come back from SQLite
CHANGING = (VAL, AP)  # tags that another evaluation of the same model renews
READY = "READY"


def put_model(client, experiment, model, training_run, evaluation_run):
    """Log, register and describe one model, as far as it is not yet; then move the alias."""
    version = only_one_version(client, model)  # perhaps by a run of another configuration
    logged = version and logged_model_of(client, version)
    if logged and not still_there(logged.artifact_location):
        upload(client, model, logged, training_run)
    if not logged:
        logged = put_logged_model(client, experiment, model, training_run)
        register(client, model, logged, training_run)
    attach(client, model, logged, training_run, evaluation_run)
    move_alias(client, model.method)


def only_one_version(client, model):
    """The version of this very model, or None; a later one comes from a request that was late."""
    same = [v for v in versions(client, model.method) if v.tags[IDENTITY] == model.identity]
    for version in same[1:]:
        client.delete_model_version(version.name, version.version)
    return same[0] if same else None


def logged_model_of(client, version):
    """None, and the version goes, where somebody deleted its model: nothing could be loaded."""
    try:
        return client.get_logged_model(version.tags[MODEL_ID])
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            raise
    client.delete_model_version(version.name, version.version)
    return None


def versions(client, name):
    """The mirror's own versions of a registered model, oldest first."""
    found = client.search_model_versions(f"name = '{name}'")
    return sorted((v for v in found if IDENTITY in v.tags), key=lambda v: int(v.version))


def put_logged_model(client, experiment, model, run):
    """The uploaded model; one whose upload was killed is still there, and is filled."""
    condition = f"tags.`{IDENTITY}` = '{model.identity}'"
    found = client.search_logged_models([experiment], condition)
    found = sorted(found, key=lambda logged: (logged.status != READY, logged.creation_timestamp))
    logged = found[0] if found else create_logged_model(client, experiment, model, run)
    if logged.status != READY or not still_there(logged.artifact_location):
        upload(client, model, logged, run)
        logged = client.finalize_logged_model(logged.model_id, READY)
    return logged


def create_logged_model(client, experiment, model, run):
    return client.create_logged_model(
        experiment,
        name=model.method,
        source_run_id=run.info.run_id,
        tags=model.tags,
        params=model.training.params,
        model_type="detector",
    )


def upload(client, model, logged, run):
    about = Model(
        artifact_path=logged.artifact_location,
        run_id=run.info.run_id,
        model_uuid=logged.model_id,
        model_id=logged.model_id,
    )
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "model")
        package.save(folder, model.root, model.params, model.method, about)
        client.log_model_artifacts(logged.model_id, str(folder))


def register(client, model, logged, run):
    if not client.search_registered_models(f"name = '{model.method}'"):
        client.create_registered_model(model.method, description=RULE)
    client.create_model_version(
        model.method,
        # not models:/<id>, which the store would look up in the process's global tracking URI
        source=logged.artifact_location,
        run_id=run.info.run_id,
        tags=model.tags | {MODEL_ID: logged.model_id},
        description=model.description,
        model_id=logged.model_id,
    )


def attach(client, model, logged, training_run, evaluation_run):
    """What is known of a model after its upload: which run made it, and its metrics."""
    run_id = training_run.info.run_id
    outputs = client.get_run(run_id).outputs
    known = outputs.model_outputs if outputs else []
    if logged.model_id not in {output.model_id for output in known}:
        client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
    log_metrics(client, model, logged, evaluation_run.info.run_id)
    version = only_one_version(client, model)
    for key in CHANGING:
        if key in model.tags and version.tags.get(key) != model.tags[key]:
            client.set_model_version_tag(version.name, version.version, key, model.tags[key])


def log_metrics(client, model, logged, run_id):
    """Under the time at which the run got them, so that the run's own history does not grow."""
    name, digest = model.dataset
    earlier = [m for m in logged.metrics or () if m.dataset_digest == digest]
    known = {m.key: m.value for m in sorted(earlier, key=lambda metric: metric.timestamp)}
    new = {k: v for k, v in model.evaluation.metrics.items() if known.get(k) != v}
    if not new:
        return
    moment = client.get_metric_history(run_id, next(iter(new)))[-1].timestamp
    metrics = [
        Metric(key, value, moment, 0, logged.model_id, name, digest, run_id)
        for key, value in new.items()
    ]
    client.log_batch(run_id, metrics=metrics)


def move_alias(client, name):
    """Again until it stays: another mirror may add a version between the look and the move."""
    while best := best_version(versions(client, name)):
        if str(best.version) == holder(client, name):
            return
        client.set_registered_model_alias(name, ALIAS, best.version)


def holder(client, name):
    version = client.get_registered_model(name).aliases.get(ALIAS)
    return None if version is None else str(version)


def best_version(versions):
    """``RULE``; ``versions`` from old to new, None where the newest has no AP to compare with."""
    val = versions[-1].tags.get(VAL)
    comparable = [v for v in versions if v.tags.get(VAL) == val and AP in v.tags]
    return max(comparable, key=lambda v: float(v.tags[AP]), default=None)  # the first of equals
