"""What each stage may read of params.yaml: so much is part of its identity, and no more is given.

A stage works with a view that has nothing else, so a setting that changes a result cannot be read
without running the stage again when it changes. `compute` and `tracking` say where and how, and
`data` where the data lie, whose content DVC watches: those are given, and no part of it.
"""

from dataclasses import fields
from typing import Any

from pipeline.params import SECTIONS, Methods, Params, load, require_name
from pipeline.params.plain import plain, resolved

READ = {  # of params.yaml, besides the stage's own method
    "prepare": ("data",),
    "train_representation": ("seed", "detector", "train"),
    "train_classifier": ("seed", "detector", "train"),
    "import_checkpoint": ("detector",),
    "calibrate": (),
    "predict": ("detector", "predict"),
    "evaluate": (),
    "diagnose": (),
    "report": tuple(field.name for field in fields(Params)),
}
DETECTOR_KEYS = {"predict": "image_scale", "import_checkpoint": "config"}
ALWAYS_GIVEN = ("data", "compute", "tracking")
TRAINED_OR_MADE = ("train_representation", "train_classifier", "import_checkpoint", "calibrate")


def stages_of(params: Params) -> dict[str, list[str]]:
    """Stage -> the names that dvc.yaml runs it for; [""] of a stage without."""
    found = {"prepare": [""]}
    for name, method in params.methods().items():
        found.setdefault(method.stage, []).append(name)
    for stage in ("predict", "evaluate", "diagnose"):
        found[stage] = list(params.report.methods)
    return {**found, "report": [""]}


def what_it_reads(params: Params, stage: str, name: str = "") -> dict[str, Any]:
    """Plain values under the keys of params.yaml, with the defaults written out."""
    if stage == "report":
        return resolved(params)
    found = {key: plain(getattr(params, key)) for key in READ[stage]}
    if stage in DETECTOR_KEYS:
        key = DETECTOR_KEYS[stage]
        found["detector"] = {key: found["detector"][key]}
    if stage in TRAINED_OR_MADE:
        found["method"] = plain(params.method(name))
    return found


class View(Methods):
    """Params without the sections that the stage does not read: asking for one is an error."""

    def __init__(self, **sections):
        self.__dict__.update(sections)


def load_for(stage: str, name: str = "") -> View:
    """params.yaml as far as the stage reads it; ``ValueError`` where it has no such method."""
    params = load()
    if name:
        known = stages_of(params).get(stage, ())
        require_name(known, name, f"method of {stage}")
    return view(params, stage, name)


def view(params: Params, stage: str, name: str = "") -> View:
    """Of the methods its own and those that it starts from."""
    family = params.ancestry(name) if name else params.methods()
    methods = {
        section: {key: method for key, method in getattr(params, section).items() if key in family}
        for section in SECTIONS
    }
    given = {key: getattr(params, key) for key in {*READ[stage], *ALWAYS_GIVEN}}
    return View(**given | methods)
