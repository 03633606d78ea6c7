"""Which runs that the server has already are those of a configuration's training.

A configuration that is trained again, on another machine or by edited code, is another parent run;
what belongs together tell the trainings (``Record.identity``) noted on its children.
"""

from mlflow.entities import ViewType
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

SUPERSEDED = "superseded"  # the tag of runs that the mirror itself has thrown away
FINISHED = "FINISHED"


def find_family(client, experiment, parent, children):
    """(parent run or None, its child runs by stage) of this very training.

    Runs that a request made twice become one: the fullest, out of the bin if need be. A training
    that broke off before anything was saved, and was started anew, leaves no runs behind.
    """
    config = parent.tags["config_hash"]
    same = f"tags.kind = 'pipeline' and tags.config_hash = '{config}'"
    families = [
        (run, children_of(client, experiment, run)) for run in find_runs(client, experiment, same)
    ]
    mine = [family for family in families if is_of(family[1], children)]
    for family in families:
        if family not in mine and family[0].info.status != FINISHED:
            throw_away(client, family)
    mine.sort(key=lambda family: fullness(family[0]), reverse=True)
    for family in mine[1:]:
        throw_away(client, family)
    if mine and parent.finished and lost_values(mine[0][0], parent):
        throw_away(client, mine.pop(0))
    if not mine:
        return None, {}
    run, known = mine[0]
    stages = {stage_of(child) for child in known}
    return restored(client, run), {stage: only_one(client, known, stage) for stage in stages}


def find_runs(client, experiment, condition):
    """Also those that a user put in the bin: the mirror shows what the files say."""
    order, found, token = ["attributes.start_time ASC"], [], None
    while token is None or token:
        page = client.search_runs([experiment], condition, ViewType.ALL, 1000, order, token)
        found += [run for run in page if SUPERSEDED not in run.data.tags]
        token = page.token or ""
    return found


def children_of(client, experiment, run):
    return find_runs(client, experiment, f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{run.info.run_id}'")


def stage_of(run):
    return run.data.tags.get("stage")


def is_of(known, records):
    """Whether no known child holds another training than the record of its stage."""
    trainings = {stage_of(run): run.data.tags.get("training") for run in known}
    return all(
        trainings.get(record.tags["stage"]) in (None, record.identity)
        for record in records
        if record.identity
    )


def lost_values(run, record):
    """Metrics that the files no longer have, such as an AP that is undefined now: MLflow cannot
    take one back."""
    curves = {key for key, *_ in record.points}
    return run.data.metrics.keys() - record.metrics.keys() - curves


def only_one(client, runs, stage):
    same = sorted((run for run in runs if stage_of(run) == stage), key=fullness, reverse=True)
    for run in same[1:]:
        throw_away(client, (run, []))
    return restored(client, same[0])


def fullness(run):
    return is_active(run), len(run.data.metrics)


def is_active(run):
    return run.info.lifecycle_stage == "active"


def restored(client, run):
    if not is_active(run):
        client.restore_run(run.info.run_id)
    return run


def throw_away(client, family):
    """Its children too."""
    parent, children = family
    for run in (parent, *children):
        restored(client, run)  # the tags of a deleted one cannot be set
        client.set_tag(run.info.run_id, SUPERSEDED, "true")
        client.delete_run(run.info.run_id)
