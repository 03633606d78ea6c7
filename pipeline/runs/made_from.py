"""What a method's numbers were made from, by dvc.lock: the data and the code of each stage."""

import hashlib
import json

from pipeline.runs.finished import Finished

MADE = ("models/", "predictions/")  # by stages of the same run: they follow from the rest


def inputs(run: Finished, method: str) -> dict[str, str] | None:
    """path -> md5 of the data and code that the stages read which trained, predicted and evaluated
    the method and what it starts from; None where dvc.lock does not know one of them."""
    found = {}
    for names in stages_of(run.params, method):
        entry = next((run.locked[name] for name in names if name in run.locked), None)
        if entry is None:
            return None
        deps = entry.get("deps", [])
        found |= {d["path"]: d.get("md5") for d in deps if not d["path"].startswith(MADE)}
    return found


def stages_of(params, method) -> list[list[str]]:
    """Of each step the stages that may have done it."""
    trained = [[f"{params.method(name).stage}@{name}"] for name in params.ancestry(method)]
    return [*trained, [f"predict@{method}"], [f"evaluate@{method}"]]


def digest(settings: dict[str, str], found: dict[str, str]) -> str:
    """16 hex digits, equal for the seeds of one configuration that the same code has run."""
    text = json.dumps([settings, found], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
