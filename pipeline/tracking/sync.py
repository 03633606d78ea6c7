"""One sync: look at the files, ask the server, write the runs, remember what was written."""

import subprocess
import sys
from pathlib import Path

from pipeline import params as params_file
from pipeline.tracking import collect, server, stamp
from pipeline.tracking.freshness import stale_stages
from pipeline.tracking.records import Project
from pipeline.tracking.trained_models import collect_models

AGAIN = "the files are complete; `python -m pipeline.tracking sync` tries again"
STAGE_SECONDS = 15


def sync(root, running=(), live=False, force=False, seconds=None):
    """Mirror the pipeline's folder ``root``; returns a text that says what was done.

    ``running`` has (method, scalars file) of trainings under way. A server on the network gets
    ``seconds`` for everything; None: it may be slow. Whatever MLflow does, there is no exception:
    a server that fails gives a warning on stderr. ``ValueError`` for a bad params.yaml.
    """
    root = Path(root).resolve()
    params = params_file.load(root / "params.yaml")
    if not params.tracking.enabled:
        return "tracking is off"
    project = server.project_root(root)
    uri = server.resolve_uri(params.tracking.uri, project)
    try:
        if not (live or force) and is_up_to_date(root, uri, params):
            return "the MLflow mirror is up to date"
        seconds = seconds if server.is_remote(uri) else None
        with server.lock(uri, project, 0 if live else seconds or server.LOCK_SECONDS) as mine:
            if not mine:
                return "another mirror is running"
            if not (live or force) and is_up_to_date(root, uri, params):
                return "the MLflow mirror is up to date"
            if reason := server.why_unreachable(uri):
                return warn(f"MLflow at {server.printable(uri)} was skipped: {reason}; {AGAIN}")
            return mirror_files(root, params, uri, project, dict(running), live, seconds)
    except OSError as error:  # such as a folder that may only be read
        return warn(f"the MLflow mirror stopped: {error}; {AGAIN}")


def is_up_to_date(root, uri, params):
    database = server.database_file(uri)
    if database and not database.is_file():
        return False
    digest = stamp.state_digest(root, uri, params.tracking.experiment)
    return stamp.read_stamp(root).get("digest") == digest


def mirror_files(root, params, uri, project, running, live, seconds):
    digest = stamp.state_digest(root, uri, params.tracking.experiment)
    scanner = stamp.FileScanner(stamp.read_stamp(root))
    folder = find_folder(root, params, scanner, running)
    if folder is None:
        return "nothing to mirror yet: `prepare` has not run for this params.yaml"
    children = collect.collect_stages(folder)
    parent = collect.collect_pipeline(folder, children)
    parent.tags |= git_tags(root)
    models = [] if live else collect_models(folder, parent, children, scanner.md5_of)
    for problem in folder.problems:
        warn(problem)
    server.use_short_timeouts(patient=seconds is None and not live)
    experiment = write_runs(uri, params, project, folder, parent, children, models, seconds)
    if experiment is None:
        return "the MLflow mirror is incomplete"
    clean = not live and not folder.problems
    stamp.write_stamp(root, digest if clean else None, scanner.used)
    return summary(uri, experiment, folder, children, models)


def find_folder(root, params, scanner, running):
    """The folder's state, or None where the data of this params.yaml is not there yet."""
    problems = []
    try:
        stale = stale_stages(root, params, scanner.md5_of)
    except ValueError as error:
        stale = set()
        problems.append(str(error))
    data = root / "data" / params.data.name
    files = {split: data / f"{split}.json" for split in ("train", "val")}
    if "prepare" in stale or not all(path.is_file() for path in files.values()):
        return None
    splits = {split: scanner.scan(path) for split, path in files.items()}
    return Project(root, params, splits, stale, running, problems)


def write_runs(uri, params, project, folder, parent, children, models, seconds):
    datasets = {
        split: (
            f"{params.data.name}/{split}",
            found.digest,
            folder.root / "data" / params.data.name / f"{split}.json",
        )
        for split, found in folder.splits.items()
    }
    location = None if server.is_remote(uri) else (project / "mlartifacts").as_uri()
    try:
        from pipeline.tracking import runs  # before the limit: the import is not the server's time

        if models:
            import pipeline.tracking.models  # noqa: F401  (seconds as well)
        name = params.tracking.experiment
        with server.time_limit(seconds):
            return runs.mirror(uri, name, location, parent, children, datasets, models)
    except server.TimeIsUp:
        warn(f"MLflow at {server.printable(uri)} took longer than {seconds} s; {AGAIN}")
    except Exception as error:  # the contract: a mirror that fails never fails the pipeline
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        warn(f"MLflow at {server.printable(uri)} failed: {reason}; {AGAIN}")
    return None


def git_tags(root):
    command = ["git", "-C", str(root), "rev-parse", "--verify", "-q", "HEAD"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    commit = result.stdout.strip()
    return {"mlflow.source.git.commit": commit} if commit else {}


def summary(uri, experiment, folder, children, models):
    stale = ", ".join(sorted(folder.stale))
    left_out = f"; not of this params.yaml, left out: {stale}" if stale else ""
    text = f"mirrored 1 pipeline run and {len(children)} stage runs"
    text += f", {len(models)} models{left_out}" if models else left_out
    return f"{text}\n{where_to_look(uri, experiment)}"


def where_to_look(uri, experiment):
    """The experiment's page; without the choice in its address MLflow 3 opens one for chat apps."""
    page = f"/#/experiments/{experiment}?workflowType=machine_learning"
    if server.is_remote(uri):
        return f"see {server.printable(uri).rstrip('/')}{page}"
    place = "" if server.database_file(uri) else f" --backend-store-uri {server.printable(uri)}"
    return f"`mlflow ui{place}` shows them at http://127.0.0.1:5000{page}"


def warn(text):
    print(f"warning: {text}", file=sys.stderr)
    return "the MLflow mirror is incomplete"
