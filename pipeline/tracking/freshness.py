"""Which outputs in the folder belong to another params.yaml than the one that lies there.

After an edit of params.yaml the outputs of the old one stay until DVC has made them again. The
mirror must not show them under the new configuration, so it reads in dvc.lock what they were made
from. Outputs that dvc.lock does not know (stages run by hand) count as current.
"""

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

MISSING = object()


def stale_stages(root):
    """Names of the stages in dvc.lock whose params, or whose inputs, have changed since.

    ``ValueError`` if dvc.lock cannot be read.
    """
    if not (root / "dvc.lock").is_file():
        return set()
    stages = (read_yaml(root / "dvc.lock") or {}).get("stages") or {}
    values = read_yaml(root / "params.yaml")
    stale = {name for name, stage in stages.items() if params_changed(stage, values)}
    outputs = {
        out["path"]: (name, out.get("md5"))
        for name, stage in stages.items()
        for out in stage.get("outs", [])
    }
    while more := {
        name
        for name, stage in stages.items()
        if name not in stale and input_changed(stage, outputs, stale)
    }:
        stale |= more
    return stale


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


def input_changed(stage, outputs, stale):
    for dep in stage.get("deps", []):
        producer, md5 = outputs.get(dep["path"], (None, None))
        if producer in stale or (producer and md5 != dep.get("md5")):
            return True
    return False
