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
from pipeline.tracking import ownership
from pipeline.tracking.artifacts import is_of_server, still_there
from pipeline.tracking.scale import SCALE, to_fraction
from pipeline.tracking.trained_models import AP, IDENTITY, VAL

ALIAS = "best"
MADE_BY_US = "A version is a training of this method."
RULE = (
    f"{MADE_BY_US} `best` is the version with the highest AP on the val "
    "annotations that the newest version was evaluated on; of equal ones the oldest."
)
MODEL_ID = "model_id"  # a tag, because a version's own field does not come back from SQLite
SET = "best_by_rule"  # a tag: the version that the mirror has put the alias on, from which one
CHANGING = (VAL, AP, SCALE)  # tags that another evaluation of the same model renews
READY = "READY"


def put_model(client, target, experiment, model, training_run, evaluation_run):
    """Log, register and describe one model, as far as it is not yet; then move the alias.

    Returns notes of what was left alone: a name, or an alias, that somebody else has given.
    """
    name = target.model_prefix + model.method
    if not may_register(client, name, target.repository):
        logged = put_logged_model(client, experiment, model, training_run)
        attach(client, model, logged, training_run, evaluation_run)
        return [
            f"the registered model {name} is not of this project, and gets no version of "
            f"{model.method}; set tracking.model_prefix to have names of your own"
        ]
    version = only_one_version(client, name, model)  # perhaps by a run of another configuration
    logged = version and logged_model_of(client, version)
    if logged and is_lost(logged.artifact_location, target):
        upload(client, model, logged, training_run)
    if not logged:
        logged = put_logged_model(client, experiment, model, training_run)
        register(client, name, model, logged, training_run)
    attach(client, model, logged, training_run, evaluation_run)
    renew_tags(client, only_one_version(client, name, model), model)
    return move_alias(client, name)


def is_lost(place, target):
    """Whether the files can, and have to, be written there again."""
    return not still_there(place) and not is_of_server(place, target.artifacts, target.uri)


def may_register(client, name, repository):
    """Make the registered model where there is none; False of one that somebody else has made."""
    found = client.search_registered_models(f"name = '{name}'")
    if not found:
        client.create_registered_model(name, ownership.owner_tag(repository), RULE)
        return True
    unmarked = (found[0].description or "").startswith(MADE_BY_US)
    return ownership.is_ours(found[0].tags, repository, unmarked)


def only_one_version(client, name, model):
    """The version of this very model, or None; a later one comes from a request that was late."""
    same = [v for v in versions(client, name) if v.tags[IDENTITY] == model.identity]
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


def register(client, name, model, logged, run):
    client.create_model_version(
        name,
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


def renew_tags(client, version, model):
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
    """Again until it stays: another mirror may add a version between the look and the move.

    A person's choice stays: the alias is on another version than the mirror has put it on last.
    The tag names both versions while it moves, so that a mirror that is killed then, or one that
    looks then, does not take the move for a person's.
    """
    while best := best_version(versions(client, name)):
        registered, wanted = client.get_registered_model(name), str(best.version)
        holder = str(registered.aliases.get(ALIAS) or "")
        ours = registered.tags.get(SET)
        if holder != wanted and holder and ours and holder not in ours.split(" to "):
            return [
                f"the alias {ALIAS} of {name} stays on version {holder}, where somebody has put "
                f"it; delete the alias to have it on the best by the rule, now version {wanted}"
            ]
        if holder != wanted:
            client.set_registered_model_tag(name, SET, f"{holder} to {wanted}")
            client.set_registered_model_alias(name, ALIAS, wanted)
        elif ours != wanted:
            client.set_registered_model_tag(name, SET, wanted)
        else:
            break
    return []


def best_version(versions):
    """``RULE``; ``versions`` from old to new, None where the newest has no AP to compare with."""
    val = versions[-1].tags.get(VAL)
    comparable = [v for v in versions if v.tags.get(VAL) == val and AP in v.tags]
    # the first of equals
    return max(comparable, key=lambda v: to_fraction(float(v.tags[AP]), v.tags), default=None)
