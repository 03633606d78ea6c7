"""What training cost: time, speed and memory of each stage."""

from pipeline.reporting.sections import Section

TITLE = "Cost"
PLACE = 90


def make(inputs) -> Section:
    return Section({"costs": cost_rows(inputs)})


def cost_rows(inputs) -> list[dict]:
    """One row a training stage, of the methods and of what they start from; the total adds that.

    Values are None where models/<method>/environment.json does not say.
    """
    models = dict.fromkeys((*inputs.methods, *inputs.environments))
    return [cost_row(inputs, model) for model in models]


def cost_row(inputs, method):
    own = inputs.environments.get(method, {})
    start = inputs.params.method(method).start
    before = inputs.environments.get(start, {}).get("seconds") if start else 0
    seconds = own.get("seconds")
    speeds = inputs.scalars[inputs.scalars.method == method].images_per_second.dropna()
    return {
        "method": method,
        "start": start,
        "stage": own.get("stage"),
        "device": own.get("device"),
        "epochs": own.get("epochs"),
        "iterations": own.get("iterations"),
        "seconds": seconds,
        "total": None if seconds is None or before is None else seconds + before,
        "images_per_second": float(speeds.median()) if len(speeds) else None,
        "peak_memory_mb": own.get("peak_memory_mb"),
    }
