"""The finished runs of an MLflow experiment, as pipeline/tracking wrote them there.

The parent run of a configuration has its params and the digests of its data, the children of its
`evaluate` stages the metrics of each method, and what was uploaded with them.
"""

import json
import os
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import get_type_hints

from pipeline import params as blocks
from pipeline.params import Params, load, parse
from pipeline.runs.finished import Finished, Result, parse_replicates
from pipeline.tracking import explain as messages
from pipeline.tracking import server, store
from pipeline.tracking.scale import to_fraction

PARENT = "mlflow.parentRunId"


def runs_of(experiment: str, uri: str | None = None) -> list[Finished]:
    """Those of the tracking server ``uri`` (None: of params.yaml), the newest first.

    ``ValueError`` where it does not answer, or has no such experiment.
    """
    uri = server.resolve_uri(uri or load().tracking.uri, server.project_root("."))
    database = server.database_file(uri)
    if database and not database.is_file():
        raise ValueError(f"{database} does not exist; name the server with --tracking-uri")
    if reason := server.why_unreachable(uri):
        raise ValueError(f"MLflow at {server.printable(uri)} does not answer: {reason}")
    server.use_short_timeouts(patient=True)
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    from mlflow.tracking import MlflowClient

    try:
        client = MlflowClient(tracking_uri=store.address(uri))
        return read_experiment(client, experiment, server.printable(uri))
    except ValueError:
        raise
    except Exception as error:  # of MLflow's, its database's or HTTP's libraries
        reason = messages.explain(error, uri)
        raise ValueError(f"MLflow at {server.printable(uri)} failed: {reason}") from None


def read_experiment(client, experiment, uri) -> list[Finished]:
    found = client.get_experiment_by_name(experiment)
    if found is None:
        names = ", ".join(sorted(e.name for e in client.search_experiments()))
        raise ValueError(f"MLflow at {uri} has no experiment {experiment!r}; it has: {names}")
    evaluated = defaultdict(list)
    for run in search(client, found, "tags.stage LIKE 'evaluate@%'"):
        evaluated[run.data.tags.get(PARENT)].append(run)
    parents = search(client, found, "tags.kind = 'pipeline'")
    runs = [read_or_warn(client, run, evaluated[run.info.run_id], uri) for run in parents]
    return [run for run in runs if run and run.results]


def search(client, experiment, condition):
    runs, token = [], None
    while True:
        page = client.search_runs(
            [experiment.experiment_id], condition, page_token=token,
            order_by=["attributes.start_time DESC"],
        )  # fmt: skip
        runs += page
        if not (token := page.token):
            return runs


def read_or_warn(client, parent, children, uri) -> Finished | None:
    name = parent.info.run_name
    try:
        params = parse(Params, unflatten(parent.data.params), "")
        methods = {run.data.tags["method"]: run for run in reversed(children)}  # the newest
        results = {method: read_result(client, run, method) for method, run in methods.items()}
    except ValueError as error:
        print(f"warning: MLflow's run {name} is left out: {error}", file=sys.stderr)
        return None
    place = f"MLflow run {parent.info.run_id} at {uri}"
    results = {method: results[method] for method in params.report.methods if method in results}
    return Finished(name, place, params, data_digests(parent), results)


def data_digests(run) -> dict[str, str]:
    """By split: a data set is called <data.name>/<split>."""
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return {i.dataset.name.rpartition("/")[2]: i.dataset.digest for i in inputs}


def read_result(client, run, method) -> Result:
    metrics = {
        key.replace("AR300", "AR@300"): to_fraction(value, run.data.tags)
        for key, value in run.data.metrics.items()
    }
    bootstrap = f"reports/diagnosis/{method}/bootstrap.csv"
    listed = client.list_artifacts(run.info.run_id, str(Path(bootstrap).parent))
    if bootstrap not in [file.path for file in listed]:
        return Result(metrics)
    with tempfile.TemporaryDirectory() as local:
        file = client.download_artifacts(run.info.run_id, bootstrap, local)
        return Result(metrics, parse_replicates(bootstrap, Path(file).read_bytes()))


def unflatten(flat: dict[str, str]) -> dict:
    """The params.yaml that ``configuration.flatten`` was given, without its empty sections."""
    values = {"representation": {}, "classifier": {}}
    texts = text_keys()
    for key, text in flat.items():
        *folders, leaf = key.split(".")
        place = values
        for folder in folders:
            place = place.setdefault(folder, {})
        place[leaf] = decode(text, leaf in texts)
    return values


def decode(text, is_text):
    if is_text and text != "null":
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def text_keys() -> set[str]:
    """The params whose values are texts, also where these look like a number."""
    kinds = [getattr(blocks, name) for name in blocks.__all__ if name[0].isupper()]
    return {
        spec.metadata.get("key", spec.name)
        for kind in kinds
        for spec in getattr(kind, "__dataclass_fields__", {}).values()
        if get_type_hints(kind)[spec.name] in (str, str | None)
    }
