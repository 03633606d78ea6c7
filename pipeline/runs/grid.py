"""The yaml of an ablation: named members, each a list of overrides of params.yaml."""

import itertools
import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.params import Params, parse, require_name
from pipeline.runs.git import tracks

KEYS = ("set", "members", "grid", "method")


@dataclass(frozen=True)
class Member:
    """``row``: its row in the table, which members that differ in their seed alone share."""

    label: str
    row: str
    overrides: tuple[str, ...]
    params: Params | None = None  # params.yaml with the overrides
    method: str = ""  # whose metrics the table shows


def load_grid(path: Path, params_file=Path("params.yaml")) -> list[Member]:
    """The members, each checked against params.yaml; ``ValueError`` that names the wrong one."""
    raw = read_grid(path)
    return [checked(member, raw.get("method"), params_file) for member in combine(raw)]


def read_grid(path: Path) -> dict:
    try:
        raw = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist; configs/ablations/ has some") from None
    except (YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path}: {reason} (overrides with brackets need quotes)") from None
    if not isinstance(raw, dict) or not isinstance(raw.get("members"), dict) or not raw["members"]:
        raise ValueError(f"{path} has no members; it takes `members: {{name: [overrides]}}`")
    for key in raw:
        require_name(KEYS, key, "key", path)
    lists = {"set": raw.get("set", [])}
    lists |= {f"members.{name}": overrides for name, overrides in raw["members"].items()}
    for key, overrides in lists.items():
        if not (isinstance(overrides, list) and all(isinstance(o, str) for o in overrides)):
            raise ValueError(f"{path}: {key} is {overrides!r}; it takes a list of key=value")
    check_axes(path, raw.get("grid", {}))
    return raw


def check_axes(path, axes):
    if not isinstance(axes, dict):
        raise ValueError(f"{path}: grid is {axes!r}; it takes keys with lists of values")
    for key, values in axes.items():
        if not isinstance(values, list) or not values:
            raise ValueError(f"{path}: grid.{key} is {values!r}; it takes a list of values")


def combine(raw: dict) -> list[Member]:
    """Every member with every combination of the grid's values."""
    axes = [[(key, value) for value in values] for key, values in raw.get("grid", {}).items()]
    return [
        Member(
            label=" ".join([str(name), *(f"{k}={v}" for k, v in values)]),
            row=" ".join([str(name), *(f"{k}={v}" for k, v in values if k != "seed")]),
            overrides=(*raw.get("set", []), *overrides, *map(setting, values)),
        )
        for name, overrides in raw["members"].items()
        for values in itertools.product(*axes)
    ]


def setting(pair) -> str:
    """``++``: also of a key that params.yaml leaves to its default."""
    return f"++{pair[0]}={json.dumps(pair[1])}"


def checked(member: Member, method: str | None, params_file: Path) -> Member:
    """The member with its settings, after everything that can be wrong before a run is not."""
    try:
        settings = overridden(params_file, member.overrides)
        params = parse(Params, settings, "")
        check_paths(params)
        method = method or params.report.methods[-1]
        require_name(params.report.methods, method, "method", "report.methods")
    except ValueError as error:
        raise ValueError(f"member {member.label}: {error}") from None
    return replace(member, params=params, method=method)


def overridden(params_file: Path, overrides) -> dict:
    """What DVC makes of params.yaml, by DVC's own function."""
    from dvc.exceptions import InvalidArgumentError
    from dvc.utils.hydra import apply_overrides, to_hydra_overrides
    from hydra.errors import HydraException

    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "params.yaml")
        copy.write_text(params_file.read_text(encoding="utf-8"), encoding="utf-8")
        try:
            for override in overrides:  # one at a time, for the message
                if to_hydra_overrides([override])[0].is_sweep_override():
                    raise ValueError(f"{override} has several values; put them under `grid`")
                apply_overrides(copy, [override])
        except (InvalidArgumentError, HydraException) as error:
            reason = str(error.__cause__ or error).splitlines()[0]
            raise ValueError(f"cannot set {override}: {reason} (a new key: +key=value)") from None
        return YAML(typ="safe", pure=True).load(copy.read_text(encoding="utf-8"))


def check_paths(params: Params) -> None:
    """DVC runs members in temporary copies of what git has; a relative path starts from there."""
    written = {**params.data.paths(), "detector.weights": params.detector.weights}
    written |= {f"pretrained.{name}.weights": p.weights for name, p in params.pretrained.items()}
    for key, value in written.items():
        path = Path(value or "").expanduser()
        if value and "://" not in value and not path.is_absolute() and not tracks(path):
            raise ValueError(
                f"{key} is {value!r}, which DVC's temporary copies of the project do not have; "
                f"write {str(path.resolve())!r}"
            )
