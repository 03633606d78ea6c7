"""One sync: look at the files, ask the server, write the runs, remember what was written."""

import contextlib
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

from pipeline import params as params_file
from pipeline.masking import masked
from pipeline.runs.dvc_lock import locked_stages, recorded, stale_in_commit, stale_stages
from pipeline.runs.identity import chain_inputs, code_of
from pipeline.tracking import artifacts as places
from pipeline.tracking import collect, ownership, server, stamp
from pipeline.tracking import explain as messages
from pipeline.tracking.datasets import dataset_records
from pipeline.tracking.lineage import locked_outputs
from pipeline.tracking.records import Project, Target
from pipeline.tracking.trained_models import collect_models
from pipeline.tracking.where import where

UP_TO_DATE = "the MLflow mirror is up to date"
INCOMPLETE = "the MLflow mirror is incomplete"
BUSY = "another mirror of this project is running, and what is new here is not in MLflow yet"
AGAIN = "the files are complete; `python -m pipeline.tracking sync` tries again"
STAGE_SECONDS = 15


def sync(root, running=(), live=False, force=False, seconds=None, copy=None):
    """Mirror the pipeline's folder ``root``; returns a text that says what was done.

    ``running`` has (method, scalars file) of trainings under way. A server or a database elsewhere
    gets ``seconds`` for everything; None: it may be slow. ``force``: ask the server even where no
    file has changed. ``copy``: ``root`` is that copy of an experiment's files. Whatever MLflow
    does, there is no exception: a server that fails gives a warning on stderr. ``ValueError`` for a
    bad params.yaml.
    """
    root = Path(root).resolve()
    params = params_file.load(root / "params.yaml")
    if copy:
        params = replace(params, tracking=copy.tracking)
    if not params.tracking.enabled:
        return "tracking is off"
    project = copy.project if copy else server.project_root(root)
    uri = server.resolve_uri(params.tracking.uri, project)
    seconds = None if server.database_file(uri) else seconds
    patient = seconds is None and not live
    try:
        if not (live or force) and is_up_to_date(root, uri, params):
            return UP_TO_DATE
        limit = server.PATIENT_PROBE_SECONDS if patient else server.PROBE_SECONDS
        if reason := server.why_unreachable(uri, limit):
            return warn(f"MLflow at {server.printable(uri)} was skipped: {reason}; {AGAIN}")
        server.use_short_timeouts(patient)
        if reason := why_not_imported(params, live):
            return warn(f"MLflow was skipped: {reason}; {AGAIN}")
        with lock(uri, project, live, seconds) as (mine, left):
            if not mine:
                return "another mirror is running" if live else warn(f"{BUSY}; {AGAIN}")
            if not (live or force) and is_up_to_date(root, uri, params):
                return UP_TO_DATE
            return mirror_files(root, params, uri, project, dict(running), live, left, copy)
    except OSError as error:  # such as a folder that may only be read
        return warn(f"the MLflow mirror stopped: {error}; {AGAIN}")


@contextlib.contextmanager
def lock(uri, project, live, seconds):
    """(whether it could be had, what is left of the seconds)."""
    began = time.monotonic()
    with server.lock(uri, project, 0 if live else seconds or server.LOCK_SECONDS) as mine:
        waited = time.monotonic() - began
        yield mine, None if seconds is None else max(1, seconds - waited)


def why_not_imported(params, live):
    """Import mlflow before the lock is taken and the time counts: it takes seconds, of a niced
    process many. None, or what is wrong with this installation."""
    try:
        import pipeline.tracking.runs

        if params.tracking.models and not live:
            import pipeline.tracking.models  # noqa: F401
    except Exception as error:  # the contract, as in write_runs
        return " ".join(f"{type(error).__name__}: {error}".split())[:200]
    return None


def is_up_to_date(root, uri, params):
    database = server.database_file(uri)
    if database and not database.is_file():
        return False
    digest = stamp.state_digest(root, uri, params.tracking.experiment)
    return stamp.read_stamp(root).get("digest") == digest


def mirror_files(root, params, uri, project, running, live, seconds, copy=None):
    digest = stamp.state_digest(root, uri, params.tracking.experiment)
    scanner = copy.scanner if copy else stamp.FileScanner(stamp.read_stamp(root))
    folder = find_folder(root, params, scanner, running, archived=copy is not None)
    if folder is None:
        return "nothing to mirror yet: `prepare` has not run for this params.yaml"
    folder.identity = stamp.project_identity(project)
    children = collect.collect_stages(folder)
    parent = collect.collect_pipeline(folder, children)
    if name := copy.name if copy else os.environ.get("DVC_EXP_NAME"):
        parent.tags["dvc.experiment"] = name
    configuration = parent.tags["config_hash"]
    if copy and (other := copy.who_shows(configuration)) != copy.name:
        return f"left out: {other} has the same configuration"
    models = [] if live else collect_models(folder, parent, children, scanner.md5_of)
    for problem in folder.problems:
        warn(problem)
    done = write_runs(uri, params, project, folder, parent, children, models, seconds)
    if done is None:
        return INCOMPLETE
    for note in done.notes:
        warn(f"MLflow at {server.printable(uri)}: {note}")
    clean = not live and not folder.problems
    stamp.write_stamp(root, digest if clean else None, scanner.used, done.experiment)
    return summary(uri, project, done, folder, children, models)


def find_folder(root, params, scanner, running, archived=False):
    """The folder's state, or None where the data of this params.yaml is not there yet.

    ``archived``: it holds an experiment as git kept it, whose code and packages are its own.
    """
    problems, stale, locked = [], set(), {}
    inputs = chain_inputs(params, code_of(root))
    try:
        stages = locked_stages(root, params)
        if archived:
            stale = stale_in_commit(stages, params)
            inputs |= {place: entry for place in inputs if (entry := recorded(stages, place))}
        else:
            stale = stale_stages(stages, inputs, lambda path: scanner.md5_of(root / path))
        locked = locked_outputs(stages, stale)
    except ValueError as error:
        problems.append(str(error))
    data = root / "data" / params.data.name
    files = {split: data / f"{split}.json" for split in ("train", "val")}
    if "prepare" in stale or not all(path.is_file() for path in files.values()):
        return None
    splits = {split: scanner.scan(path) for split, path in files.items()}
    return Project(root, params, splits, stale, running, problems, locked, inputs=inputs)


def write_runs(uri, params, project, folder, parent, children, models, seconds):
    from pipeline.tracking import runs, store

    categories = children[0].metrics.get("categories")  # `prepare` is the first
    datasets = dataset_records(folder, categories, project)
    target = where_to(uri, params, project)
    try:
        with server.time_limit(seconds):
            store.create(uri, target.artifacts)
            if target.only_there:
                places.bring_home(uri, target.artifacts, project)
            return runs.mirror(target, parent, children, datasets, models)
    except server.TimeIsUp:
        warn(f"MLflow at {server.printable(uri)} took longer than {seconds:.0f} s; {AGAIN}")
    except ownership.NotOurs as error:
        warn(f"MLflow at {server.printable(uri)} was left alone: {error}; {AGAIN}")
    except Exception as error:  # the contract: a mirror that fails never fails the pipeline
        warn(f"MLflow at {server.printable(uri)} failed: {messages.explain(error, uri)}; {AGAIN}")
    return None


def where_to(uri, params, project):
    artifacts = places.artifact_location(params, uri, project)
    return Target(
        uri,
        params.tracking.experiment,
        artifacts,
        only_there=places.is_at_home(uri, artifacts, project),
        repository=ownership.repository(project),
        model_prefix=params.tracking.model_prefix,
        columns=collect.columns(params),
    )


def summary(uri, project, done, folder, children, models):
    stale = ", ".join(sorted(folder.stale))
    left_out = f"; not of this params.yaml, left out: {stale}" if stale else ""
    text = f"mirrored 1 pipeline run and {len(children)} stage runs"
    text += f", {len(models)} models{left_out}" if models else left_out
    if done.elsewhere:
        text = "another checkout has mirrored these results already"
    return f"{text}\n{where(uri, project, done.experiment)}"


def warn(text):
    print(f"warning: {masked(text)}", file=sys.stderr)
    return INCOMPLETE
