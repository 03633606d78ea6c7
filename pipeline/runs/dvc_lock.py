"""What dvc.lock says that the outputs in a folder were made from, and which of them are stale.

After an edit of params.yaml or the code the outputs of the old ones stay until DVC has made them
again. Nobody must show them under the new configuration. Outputs that dvc.lock does not know
(stages run by hand) count as current.
"""

import hashlib
from pathlib import PurePath

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.params import Params
from pipeline.params.scope import stages_of, what_it_reads
from pipeline.runs.identity import INPUTS, address, as_text


def stale_stages(stages, today, md5_of):
    """Names of dvc.lock's ``stages`` that the next `dvc repro` would run again.

    ``today``: what it would run them with (identity.chain_inputs); ``md5_of(path)`` is the digest
    of a file, None where there is none.
    """
    changed = {
        name
        for name in stages
        if (entry := recorded(stages, name)) and entry != today.get(name, entry)
    }
    return with_what_follows(stages, changed, md5_of)


def stale_in_commit(stages, params: Params):
    """Of a commit's dvc.lock and params.yaml: the stages whose results are not of these params.

    Where `check` wrote the very entries that the stages ran with, none is. Otherwise those are
    compared with the params as they are read today.
    """
    instances = [address(s, name) for s, names in stages_of(params).items() for name in names]
    entries = {place: entry for place in instances if (entry := recorded(stages, place))}
    if is_output_of_check(stages, as_text(entries)):
        return with_what_follows(stages, set())
    today = {
        address(stage, name): what_it_reads(params, stage, name)
        for stage, names in stages_of(params).items()
        for name in names
    }
    changed = {place for place, entry in entries.items() if entry["params"] != today[place]}
    return with_what_follows(stages, changed)


def is_output_of_check(stages, text) -> bool:
    md5 = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    return md5 in [out.get("md5") for out in stages.get("check", {}).get("outs", [])]


def recorded(stages, place) -> dict | None:
    """The entry (runs/identity.py) that the stage instance ``place`` was run with; None where
    dvc.lock knows none."""
    noted = stages.get(place, {}).get("params", {}).get(str(INPUTS), {})
    return next(iter(noted.values()), None)


def with_what_follows(stages, changed, md5_of=None):
    """And those that read what has changed since, or what a changed one makes.

    Without ``md5_of`` a file inside another stage's output counts as unchanged.
    """
    outputs = {
        out["path"]: (name, out.get("md5"))
        for name, stage in stages.items()
        for out in stage.get("outs", [])
    }
    stale = changed | {
        name for name, stage in stages.items() if inputs_changed(stage, outputs, md5_of)
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
    instances = stages_of(params).items()
    names = {address(stage, name) for stage, found in instances for name in found}
    names |= {"check", "seeds", *(f"fetch_checkpoint@{name}" for name in params.pretrained)}
    return {name: stage for name, stage in stages.items() if name in names}


def read_yaml(path):
    try:
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None


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


def made_from(stages, params: Params, method: str) -> dict[str, str] | None:
    """What a method's numbers follow from besides its settings, by dvc.lock: the data, and the code
    and packages of the stages that made, predicted and evaluated it and what it starts from; the
    same for all seeds. None where dvc.lock does not know one of them."""
    places = [address(params.method(name).stage, name) for name in params.ancestry(method)]
    found = {}
    for place in (*places, f"predict@{method}", f"evaluate@{method}"):
        entry = recorded(stages, place)
        if entry is None:
            return None
        found[f"the code of {place}"] = entry["code"]
        found |= entry["packages"] | entry["files"]
        read = stages[place].get("deps", [])
        found |= {dep["path"]: dep.get("md5") for dep in read if dep["path"].startswith("data/")}
    return found


def settings_of(stages, params: Params, stage: str, name: str) -> dict:
    """What the stage instance was run with, by dvc.lock; where that knows nothing, by params."""
    entry = recorded(stages, address(stage, name))
    return entry["params"] if entry else what_it_reads(params, stage, name)
