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
    speeds = inputs.scalars[inputs.scalars.method == method].images_per_second.dropna()
    return {
        "method": method,
        "start": inputs.params.method(method).start,
        "stage": own.get("stage"),
        "device": own.get("device"),
        "epochs": own.get("epochs"),
        "iterations": own.get("iterations"),
        "seconds": own.get("seconds"),
        "total": total(inputs, method),
        "images_per_second": float(speeds.median()) if len(speeds) else None,
        "peak_memory_mb": own.get("peak_memory_mb"),
    }


def total(inputs, method) -> float | None:
    """Seconds of all trainings behind the method; a calibration trains nothing."""
    stages = {name: inputs.params.method(name).stage for name in inputs.params.ancestry(method)}
    trained = [name for name, stage in stages.items() if stage != "calibrate"]
    seconds = [inputs.environments.get(name, {}).get("seconds") for name in trained]
    return None if None in seconds else sum(seconds)
