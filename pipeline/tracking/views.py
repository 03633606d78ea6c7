"""Saved views of the experiment's runs: MLflow's page shows them under Views, and by address.

An experiment tag holds each, as MLflow 3.17's own "Save view" writes it.
"""

import json

PREFIX = "mlflow.sharedViewState."
COLUMNS = [f"metrics.`{key}`" for key in ("AP", "APr", "APc", "APf")]
PARENTS = {"searchFilter": "tags.kind = 'pipeline'", "selectedColumns": COLUMNS}
BY_GROUP = {
    "aggregateFunction": "average",
    "groupByKeys": [{"mode": "tag", "groupByData": "group"}],
}
VIEWS = {
    "configurations": ("Configurations", PARENTS),
    "seeds": ("Means over seeds", PARENTS | {"groupBy": BY_GROUP}),
}


def tags():
    """{tag: text} of all views; the times are fixed, so that the texts are."""
    return {PREFIX + key: saved(name, state) for key, (name, state) in VIEWS.items()}


def saved(name, state):
    when = 1_700_000_000_000
    view = {"name": name, "createdAt": when, "updatedAt": when, "state": json.dumps(state)}
    return json.dumps(view)


def address(experiment, view="configurations"):
    """After the server's: without ``workflowType`` MLflow 3 opens its page for chat apps."""
    return (
        f"/#/experiments/{experiment}/runs?workflowType=machine_learning&viewStateShareKey={view}"
    )
