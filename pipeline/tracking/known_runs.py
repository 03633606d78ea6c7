"""Which runs that the server has already are those of this very training.

A configuration that is trained again, on another machine or by edited code, is another parent run;
what belongs together tell the trainings (``Record.identity``) noted on its children.
"""

from dataclasses import dataclass
from typing import Any

from mlflow.entities import ViewType
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

SUPERSEDED = "superseded"  # the tag of runs that the mirror itself has thrown away
FINISHED = "FINISHED"


@dataclass
class Family:
    """A parent run and its children; ``trainings`` are (stage, identity) of these."""

    parent: Any
    children: list

    @property
    def trainings(self) -> set:
        noted = {(stage_of(run), run.data.tags.get("training")) for run in self.children}
        return {(stage, training) for stage, training in noted if training}

    def is_finished(self):
        return self.parent.info.status == FINISHED

    def is_made_by(self, record):
        return self.parent.data.tags.get("project") == record.tags["project"]

    def holds(self, trainings, ours):
        """Whether these are its trainings, or, as long as it is not finished, may become so."""
        if self.is_finished():
            return self.trainings <= trainings and bool(self.trainings or not trainings)
        stages = dict(trainings)
        agree = all(stages.get(stage, known) == known for stage, known in self.trainings)
        return agree and (ours or bool(self.trainings & trainings))


@dataclass
class Known:
    """What there is of these very trainings: the parent run or None, and all children.

    Some may still hang at ``replaced`` parents, which show what the files no longer have.
    """

    parent: Any
    children: list
    replaced: list


def find_known(client, experiment, parent, children):
    """``Known`` of these records.

    Runs that a request made twice become one, the fullest, out of the bin if need be. What this
    project (its tag) left unfinished and began anew is thrown away; others' runs stay as they are.
    """
    config = parent.tags["config_hash"]
    same = f"tags.kind = 'pipeline' and tags.config_hash = '{config}'"
    families = [
        Family(run, children_of(client, experiment, run))
        for run in find_runs(client, experiment, same)
    ]
    trainings = {(child.tags["stage"], child.identity) for child in children if child.identity}
    mine = [f for f in families if f.holds(trainings, f.is_made_by(parent))]
    replaced = [f for f in mine if has_lost_values(f.parent, parent)]
    mine = [f for f in mine if f not in replaced]
    mine.sort(key=lambda family: (family.is_finished(), *fullness(family.parent)))
    kept = [*mine[-1:], *replaced]
    for family in families:
        left = not family.is_finished() or (not family.trainings and bool(trainings))
        if family not in kept and left and family.is_made_by(parent):
            throw_away(client, *family.children, family.parent)
    return Known(
        restored(client, mine[-1].parent) if mine else None,
        [child for family in kept for child in family.children],
        [family.parent for family in replaced],
    )


def child_of(client, known, stage):
    """The known run of a stage, or None; those that were made twice become one."""
    same = [run for run in known.children if stage_of(run) == stage]
    *others, last = sorted(same, key=fullness) or [None]
    throw_away(client, *others)
    return last and restored(client, last)


def find_runs(client, experiment, condition):
    """Also those that a user put in the bin: the mirror shows what the files say."""
    order, found, token = ["attributes.start_time ASC"], [], None
    while token is None or token:
        page = client.search_runs([experiment], condition, ViewType.ALL, 1000, order, token)
        found += page
        token = page.token or ""
    left = [run for run in found if SUPERSEDED in run.data.tags]
    for run in filter(is_active, left):  # by a mirror that was killed between two requests
        client.delete_run(run.info.run_id)
    return [run for run in found if run not in left]


def children_of(client, experiment, run):
    return find_runs(client, experiment, f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{run.info.run_id}'")


def stage_of(run):
    return run.data.tags.get("stage")


def has_lost_values(run, record):
    """Whether the run has metrics that the complete files no longer have, such as an AP that is
    undefined now: MLflow cannot take one back."""
    curves = {key for key, *_ in record.points}
    complete = record.finished and record.metrics
    return bool(complete and run.data.metrics.keys() - record.metrics.keys() - curves)


def fullness(run):
    return is_active(run), len(run.data.metrics)


def is_active(run):
    return run.info.lifecycle_stage == "active"


def restored(client, run):
    if not is_active(run):
        client.restore_run(run.info.run_id)
    return run


def throw_away(client, *runs):
    """A parent comes after its children, by which it is found again."""
    for run in runs:
        restored(client, run)  # the tags of a deleted one cannot be set
        client.set_tag(run.info.run_id, SUPERSEDED, "true")
        client.delete_run(run.info.run_id)
