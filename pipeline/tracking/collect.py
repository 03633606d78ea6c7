"""The pipeline's files as plain records, one per MLflow run. Does not import mlflow.

Only stages whose outputs are there, whose method params.yaml has, and whose outputs belong to it
(pipeline/runs/dvc_lock.py) get a record. A file that cannot be read is noted in
``project.problems`` and left out; the rest is recorded.
"""

import csv
import hashlib
import json
from collections import Counter
from datetime import datetime, timedelta

from pipeline.files import read_json
from pipeline.params import plain as configuration
from pipeline.runs import identity
from pipeline.tracking import lineage
from pipeline.tracking.records import Record, clean, existing, is_number, noting, numbers
from pipeline.tracking.scale import TAG, to_percent

DESCRIPTION = "mlflow.note.content"  # Markdown
LONGEST_TAG = 5000  # in bytes of UTF-8 this stays below MLflow's 8000
FREQUENCIES = {"r": "rare", "c": "common", "f": "frequent"}
# Of its other methods a parent has these alone: each is a column and a chart in MLflow
SHOWN = ("AP", "APr", "APc", "APf")
ENVIRONMENT_METRICS = ("seconds", "iterations", "peak_memory_mb")


def collect_stages(project):
    """The child records, in the order of the chain."""
    records = [collect_prepare(project)]
    for method in project.methods():
        records += [collect_training(project, method)]
    for method in project.params.report.methods:
        records += [collect_predict(project, method), collect_evaluate(project, method)]
    records += [collect_report(project)]
    found = [record for record in records if record]
    for record in found:
        record.tags |= group_tags(project)
        if text := project.locked.get(record.tags["stage"]):
            record.tags["dvc.outs"] = text
    return found


def group_tags(project):
    """By these the UI gathers the seeds of one configuration."""
    params = project.params
    digest = identity.configuration(identity.without_seed(project.inputs), data_digests(project))
    group = f"{configuration.deviating_name(params)} · {params.data.name} · {digest[:8]}"
    return {"group": group, "seed": str(params.seed)}


def data_digests(project):
    return {name: split.digest for name, split in project.splits.items()}


def collect_pipeline(project, children):
    """The parent record: all parameters, the final numbers of every method, the reports."""
    params, root = project.params, project.root
    headline = configuration.headline_method(params)
    record = Record(
        configuration.run_name(params),
        tags={
            "kind": "pipeline",
            "config_hash": identity.configuration(project.inputs, data_digests(project)),
            "project": project.identity,
            "method": headline,
            **TAG,
            "mlflow.source.name": "dvc.yaml",
            "mlflow.source.type": "PROJECT",
            **group_tags(project),
            **lineage.dvc_tags(project.locked),
            **lineage.environment_tags(children),
            **lineage.git_tags(children, root),
        },
        params=configuration.flatten(configuration.resolved(params)),
        artifacts=existing(root, "params.yaml", "dvc.yaml", "dvc.lock"),
    )
    evaluated = {
        child.tags["method"]: child.metrics
        for child in children
        if child.tags["stage"].startswith("evaluate@")
    }
    for method, metrics in evaluated.items():
        shown = metrics if method == headline else SHOWN
        record.metrics |= {column(method, k): metrics[k] for k in shown if k in metrics}
    names = {child.tags["stage"] for child in children}
    if "report" in names:
        record.artifacts += report_files(root)
        record.tags |= description(root / "reports" / "ap_by_frequency.md")
    starts = [child.started for child in children if child.started]
    record.started = min(starts, default=None)
    if record.started:  # cached stages may have run months apart: the sum of their own times
        record.ended = record.started + sum(child.lasted for child in children)
    needed = {"report", *(f"evaluate@{method}" for method in params.report.methods)}
    complete = needed <= names and all(child.finished for child in children)
    record.finished = complete and not project.problems
    return record


def columns(params):
    """The metrics of a parent that MLflow's table shows, the headline method's first."""
    headline = configuration.headline_method(params)
    others = [method for method in params.report.methods if method != headline]
    return [column(headline, key) for key in SHOWN] + [column(m, "AP") for m in others]


def column(method, metric):
    """Says whose AP it is."""
    return f"{clean(method)}/{metric}"


def description(table):
    """The report's table, as what MLflow shows at the top of a run's page."""
    text = table.read_text(encoding="utf-8", errors="replace") if table.is_file() else ""
    return {DESCRIPTION: text} if 0 < len(text) <= LONGEST_TAG else {}


def stage_record(stage, method=None, **more):
    name = f"{stage}@{method}" if method else stage
    tags = {"kind": "stage", "stage": name} | ({"method": method} if method else {})
    return Record(name, tags=tags, **more)


def collect_prepare(project):
    path = project.root / "data" / project.params.data.name / "categories.csv"
    record = stage_record("prepare", params=configuration.flatten(data_params(project)))
    record.metrics = {f"images_{name}": split.images for name, split in project.splits.items()}
    if path.is_file():
        with noting(project, path), open(path, newline="", encoding="utf-8") as file:
            counts = Counter(row["frequency"] for row in csv.DictReader(file))
            counted = {f"categories_{name}": counts[key] for key, name in FREQUENCIES.items()}
            record.metrics |= {"categories": counts.total(), **counted}
        record.artifacts = [(path, None)]
        add_times(record, *path.parent.glob("*.*"))
    return record


def add_times(record, *files):
    """A moment, where nothing notes when the stage ran: when the last of its files was written.

    No duration: of files in git, `git checkout` writes only those that differ.
    """
    times = [int(path.stat().st_mtime * 1000) for path in files if path.is_file()]
    record.started = record.ended = max(times, default=None)


def data_params(project):
    return configuration.plain(project.params.data)


def collect_training(project, method):
    """A training that has ended, or, if its scalars are in ``project.running``, one under way.

    Or an import, which has no scalars.
    """
    stage = project.params.method(method).stage
    scalars = project.running.get(method)
    folder = scalars.parent if scalars else project.root / "models" / method
    scalars = scalars or folder / "scalars.jsonl"
    environment = folder / "environment.json"
    if method not in project.running and not project.is_current(f"{stage}@{method}", environment):
        return None
    block = configuration.plain(project.params.method(method))
    record = stage_record(stage, method, params=configuration.flatten(block))
    record.finished = method not in project.running
    if environment.is_file():
        add_environment(project, record, environment)
    if scalars.is_file():
        add_scalars(project, record, scalars)
        if record.started is None and record.points:
            record.started = int(scalars.stat().st_mtime * 1000) - record.points[-1][-1]
    record.artifacts = existing(folder, "config.py")
    return record


def add_environment(project, record, path):
    with noting(project, path):
        values = read_json(path)
        for key, value in values.items():
            if key in ENVIRONMENT_METRICS:
                record.metrics |= numbers({key: value})
            elif value is not None and key not in ("stage", "name"):
                record.tags[f"environment.{key}"] = str(value)
        started = datetime.fromisoformat(values["started"])
        record.started = milliseconds(started)
        if record.finished and "seconds" in values:  # an import notes none
            record.ended = milliseconds(started + timedelta(seconds=values["seconds"]))


def milliseconds(moment):
    return int(moment.timestamp() * 1000)


def add_scalars(project, record, path):
    lines = path.read_bytes().splitlines(keepends=True)
    if lines and lines[0].endswith(b"\n"):
        record.identity = hashlib.md5(lines[0], usedforsecurity=False).hexdigest()
    elapsed, before = 0.0, 0  # s; summed as a training's cost is
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            step = int(row.pop("step"))
            elapsed += row.get("time", 0) * (step - before)
            before, milli = step, round(1000 * elapsed)
            record.points += [
                (clean(key), float(value), step, milli)
                for key, value in row.items()
                if is_number(value)
            ]
        except (ValueError, TypeError, KeyError, AttributeError):
            project.problems.append(f"{path} line {number} is damaged; it was left out")


def collect_predict(project, method):
    path = project.root / "predictions" / f"{method}.parquet"
    if not project.is_current(f"predict@{method}", path):
        return None
    record = stage_record("predict", method)
    with noting(project, path):
        record.metrics = {"detections": count_rows(path)}
    params = configuration.plain(project.params.predict)
    record.params = configuration.flatten(params)
    add_times(record, path)
    return record


def count_rows(path):
    import pyarrow.parquet

    try:
        return pyarrow.parquet.read_metadata(path).num_rows
    except (pyarrow.ArrowException, OSError) as error:
        raise ValueError(f"{path} is no readable Parquet file: {error}") from None


def collect_evaluate(project, method):
    path = project.root / "reports" / "metrics" / f"{method}.json"
    if not project.is_current(f"evaluate@{method}", path):
        return None
    record = stage_record("evaluate", method)
    record.tags |= TAG
    with noting(project, path):
        record.metrics = {k: to_percent(v) for k, v in numbers(read_json(path)).items()}
    record.artifacts = existing(project.root / "reports" / "per_category", f"{method}.csv")
    add_times(record, path, *(file for file, _ in record.artifacts))
    record.artifacts += diagnosis_files(project, method)
    return record


def diagnosis_files(project, method):
    """(file, folder in MLflow) of what the stage `diagnose` wrote about the method."""
    if f"diagnose@{method}" in project.stale:
        return []
    found = existing(project.root / "reports" / "diagnosis" / method, "**/*")
    return [(path, path.parent.relative_to(project.root).as_posix()) for path, _ in found]


def collect_report(project):
    if not project.is_current("report", project.root / "reports" / "index.html"):
        return None
    report = configuration.plain(project.params.report)
    record = stage_record("report", params=configuration.flatten(report))
    add_times(record, *(path for path, _ in report_files(project.root)))
    return record


def report_files(root):
    """(file, folder in MLflow) of everything the report stage wrote."""
    tables = ("ap_by_frequency.*", "ap_by_frequency_segm.*", "over_seeds.*")
    paths = existing(root / "reports", "index.html", *tables, "plots/**/*")
    return [(path, path.parent.relative_to(root).as_posix()) for path, _ in paths]
