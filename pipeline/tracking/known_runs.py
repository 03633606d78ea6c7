"""Which runs that the server has already are those of this very training.

A configuration that is trained again, on another machine or by edited code, is another parent run;
what belongs together tell the trainings (``Record.identity``) noted on its children. Runs of other
checkouts are read and never changed: one that shows the same already, because its files came from
there by `dvc pull`, is not made a second time.
"""

from dataclasses import dataclass, field
from typing import Any

from mlflow.entities import ViewType
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from pipeline.tracking.scale import SCALE

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

    def holds(self, trainings):
        """Whether these are its trainings, or, as long as it is not finished, may become so."""
        if self.is_finished():
            return self.trainings <= trainings and bool(self.trainings or not trainings)
        stages = dict(trainings)
        return all(stages.get(stage, known) == known for stage, known in self.trainings)

    def shows(self, trainings, record):
        """Whether it is complete, and says of these trainings what the record says."""
        run = self.parent
        return (
            self.is_finished()
            and is_active(run)
            and self.trainings == trainings
            and run.data.metrics == record.metrics
            and run.data.tags.get(SCALE) == record.tags[SCALE]
        )


@dataclass
class Known:
    """What there is of these very trainings: the parent run or None, and all children.

    Some may still hang at ``replaced`` parents, which show what the files no longer have.
    ``elsewhere``: another checkout has mirrored them, and there is nothing left to do.
    """

    parent: Any = None
    children: list = field(default_factory=list)
    replaced: list = field(default_factory=list)
    elsewhere: bool = False


def find_known(client, experiment, parent, children):
    """``Known`` of these records.

    Runs that a request made twice become one, the fullest, out of the bin if need be. What this
    checkout left unfinished and began anew is thrown away.
    """
    config = parent.tags["config_hash"]
    same = f"tags.kind = 'pipeline' and tags.config_hash = '{config}'"
    families = [
        Family(run, children_of(client, experiment, run, parent.tags["project"]))
        for run in find_runs(client, experiment, same, parent.tags["project"])
    ]
    own = [family for family in families if family.is_made_by(parent)]
    trainings = {(child.tags["stage"], child.identity) for child in children if child.identity}
    mine = [family for family in own if family.holds(trainings)]
    others = [family for family in families if family not in own]
    if not mine and any(family.shows(trainings, parent) for family in others):
        return Known(elsewhere=True)
    replaced = [f for f in mine if is_outdated(f.parent, parent)]
    mine = [f for f in mine if f not in replaced]
    mine.sort(key=lambda family: (family.is_finished(), *fullness(family.parent)))
    kept = [*mine[-1:], *replaced]
    for family in own:
        left = not family.is_finished() or (not family.trainings and bool(trainings))
        if family not in kept and left:
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


def find_runs(client, experiment, condition, project):
    """Also those that a user put in the bin: the mirror shows what the files say.

    What a killed mirror of ``project``
    was throwing away goes.
    """
    order, found, token = ["attributes.start_time ASC"], [], None
    while token is None or token:
        page = client.search_runs([experiment], condition, ViewType.ALL, 1000, order, token)
        found += page
        token = page.token or ""
    left = [run for run in found if SUPERSEDED in run.data.tags]
    for run in left:
        if is_active(run) and run.data.tags.get("project") == project:
            client.delete_run(run.info.run_id)
    return [run for run in found if run not in left]


def children_of(client, experiment, run, project):
    condition = f"tags.`{MLFLOW_PARENT_RUN_ID}` = '{run.info.run_id}'"
    return find_runs(client, experiment, condition, project)


def stage_of(run):
    return run.data.tags.get("stage")


def is_outdated(run, record):
    """Whether the run has metrics that the complete files no longer have, such as an AP that is
    undefined now, or has them on another scale: MLflow cannot take one back."""
    curves = {key for key, *_ in record.points}
    lost = run.data.metrics.keys() - record.metrics.keys() - curves
    other_scale = run.data.metrics and run.data.tags.get(SCALE) != record.tags.get(SCALE)
    return bool(record.finished and record.metrics and (lost or other_scale))


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
