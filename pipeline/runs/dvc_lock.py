"""Which outputs in the folder belong to another params.yaml than the one that lies there.

After an edit of params.yaml the outputs of the old one stay until DVC has made them again. The
mirror must not show them under the new configuration, so it reads in dvc.lock what they were made
from. Outputs that dvc.lock does not know (stages run by hand) count as current.
"""

from pathlib import PurePath

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

MISSING = object()


def stale_stages(root, params, md5_of):
    """Names of this pipeline's stages whose params, or whose inputs, have changed since.

    ``md5_of(path)`` is the digest of a file, None where there is none. ``ValueError`` if dvc.lock
    cannot be read.
    """
    stages, values = locked_stages(root, params), read_yaml(root / "params.yaml")
    return stale_among(stages, values, lambda path: md5_of(root / path))


def stale_among(stages, values, md5_of=None):
    """The same of dvc.lock's entries and params.yaml as read.

    Without ``md5_of`` a file inside another stage's output counts as unchanged.
    """
    outputs = {
        out["path"]: (name, out.get("md5"))
        for name, stage in stages.items()
        for out in stage.get("outs", [])
    }
    stale = {
        name
        for name, stage in stages.items()
        if params_changed(stage, values) or inputs_changed(stage, outputs, md5_of)
    }
    while more := {
        name for name in stages.keys() - stale if producers(stages[name], outputs) & stale
    }:
        stale |= more
    return stale


def locked_stages(root, params):
    """The entries of ``root``'s dvc.lock that are of this pipeline."""
    path = root / "dvc.lock"
    lock = (read_yaml(path) if path.is_file() else None) or {}
    return known_stages(lock.get("stages") or {}, params)


def known_stages(stages, params):
    """Of dvc.lock's entries; what it still holds of methods that are gone does not count."""
    names = {
        "prepare",
        "report",
        "seeds",
        *(f"{method.stage}@{name}" for name, method in params.methods().items()),
        *(f"fetch_checkpoint@{name}" for name in params.pretrained),
        *(
            f"{stage}@{name}"
            for stage in ("predict", "evaluate", "diagnose")
            for name in params.report.methods
        ),
    }
    return {name: stage for name, stage in stages.items() if name in names}


def read_yaml(path):
    try:
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None


def params_changed(stage, values):
    recorded = stage.get("params", {}).get("params.yaml", {})
    return any(look_up(values, key) != value for key, value in recorded.items())


def look_up(values, dotted):
    for key in dotted.split("."):
        values = values.get(key, MISSING) if isinstance(values, dict) else MISSING
    return values


def inputs_changed(stage, outputs, md5_of):
    """Whether an input that another stage made is not the one that this stage read."""
    for dep in stage.get("deps", []):
        for path, (_, md5) in outputs.items():
            if path == dep["path"]:
                changed = md5 != dep.get("md5")
            elif contains(path, dep["path"]):
                changed = md5_of is not None and md5_of(dep["path"]) != dep.get("md5")
            else:
                continue
            if changed:
                return True
    return False


def producers(stage, outputs):
    """Who made the inputs: each may be an output, a file inside one, or a folder of several."""
    return {
        name
        for dep in stage.get("deps", [])
        for path, (name, _) in outputs.items()
        if path == dep["path"] or contains(path, dep["path"]) or contains(dep["path"], path)
    }


def contains(folder, path):
    return PurePath(folder) in PurePath(path).parents
