"""Saved views of the experiment's runs: MLflow's page shows them under Views, and by address.

An experiment tag holds each, as MLflow 3.17's own "Save view" writes it.
"""

import json

PREFIX = "mlflow.sharedViewState."
PARENTS = {"searchFilter": "tags.kind = 'pipeline'"}
BY_GROUP = {
    "aggregateFunction": "average",
    "groupByKeys": [{"mode": "tag", "groupByData": "group"}],
}
VIEWS = {
    "configurations": ("Configurations", PARENTS),
    "seeds": ("Means over seeds", PARENTS | {"groupBy": BY_GROUP}),
}


def tags(metrics, known=()):
    """{tag: text} of all views, with columns of these metrics.

    ``known``: the experiment's tags; what its views show already stays, as colleagues may have
    other methods.
    """
    return {
        PREFIX + key: saved(name, state, metrics, dict(known).get(PREFIX + key))
        for key, (name, state) in VIEWS.items()
    }


def saved(name, state, metrics, known):
    columns = dict.fromkeys([*shown(known), *(f"metrics.`{metric}`" for metric in metrics)])
    state = json.dumps(state | {"selectedColumns": list(columns)})
    when = 1_700_000_000_000  # fixed, so that the text is
    return json.dumps({"name": name, "createdAt": when, "updatedAt": when, "state": state})


def shown(known):
    """The columns of a view as it is; none where somebody has written something else there.

    Before runs said whose AP they have, its columns were AP, APr, APc and APf: no run has these.
    """
    try:
        columns = json.loads(json.loads(known)["state"])["selectedColumns"]
        return [column for column in columns if "/" in column]
    except (ValueError, TypeError, KeyError):
        return []


def is_ours(tags):
    """Whether the mirror, of whatever version, has made the experiment with these tags."""
    return any(PREFIX + key in tags for key in VIEWS)


def address(experiment, view="configurations"):
    """After the server's: without ``workflowType`` MLflow 3 opens its page for chat apps."""
    return (
        f"/#/experiments/{experiment}/runs?workflowType=machine_learning&viewStateShareKey={view}"
    )
