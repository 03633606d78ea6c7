"""YAML values -> dataclasses, with an error that names the key, the value and what is allowed."""

import unicodedata
from dataclasses import MISSING, fields, is_dataclass
from difflib import get_close_matches
from math import isfinite
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from pipeline.messages import shown
from pipeline.params.limits import ENDLESS, Limits

SCALARS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
LONGEST = 1000  # characters of a text


def parse(kind, value, key):
    """``value``, read from YAML, as an instance of ``kind`` (a dataclass or a type annotation)."""
    if hasattr(kind, "from_yaml"):
        return kind.from_yaml(value, key)
    if kind is Any:
        require(type(value) in SCALARS, key, value, "one text, number or truth value")
        return parse_scalar(type(value), value, key)
    if is_dataclass(kind):
        return parse_dataclass(kind, value, key)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return parse(arguments[0], value, key)
    if origin in (Union, UnionType):
        if value is None and type(None) in arguments:
            return None
        words = [word for a in arguments if get_origin(a) is Literal for word in get_args(a)]
        if value in words:
            return value
        if words and isinstance(value, str):
            raise ValueError(f"{key} is {shown(value)}; it takes {', '.join(words)} or a number")
        return parse(next(a for a in arguments if a is not type(None)), value, key)
    if origin is Literal:
        if not any(value == a and type(value) is type(a) for a in arguments):
            allowed = ", ".join(map(str, arguments))
            raise ValueError(f"{key} is {shown(value)}; allowed: {allowed}")
        return value
    if origin is dict:
        require(isinstance(value, dict), key, value, "a mapping of names to blocks")
        for name in value:
            words = "a text: letters, or digits in quotes"
            require(isinstance(name, str), f"a name under {key}", name, words)
        return {name: parse(arguments[1], v, inside(key, name)) for name, v in value.items()}
    if origin is list:
        require(isinstance(value, list), key, value, "a list")
        return [parse(arguments[0], v, f"{key}[{i}]") for i, v in enumerate(value)]
    return parse_scalar(kind, value, key)


def parse_scalar(kind, value, key):
    if type(value) is int:
        require(abs(value) < 2**63, key, value, "a number below 2^63")
        value = float(value) if kind is float else value
    require(type(value) is kind, key, value, SCALARS[kind])
    if kind is float:
        require(isfinite(value), key, value, "a finite number")
    if kind is str:
        require(is_plain(value, key), key, value, f"up to {LONGEST} characters that can be printed")
    return value


def is_plain(text, key):
    """Without control characters and halves of characters; shell lines may have tabs and ends."""
    free = "\t\n" if key.startswith("compute.slurm.") else ""
    odd = any(unicodedata.category(c) in ("Cc", "Cs") and c not in free for c in text)
    return len(text) <= LONGEST and not odd


def parse_dataclass(kind, value, key):
    require(isinstance(value, dict), key or "params.yaml", value, "a mapping")
    hints = get_type_hints(kind)
    known = {f.metadata.get("key", f.name): f for f in fields(kind)}
    for name in value:
        if name in getattr(kind, "old_keys", ()):
            raise ValueError(f"{inside(key, name)} is now {kind.old_keys[name]}")
        if name not in known:
            raise ValueError(unknown_key(key, name, known))
    result = {}
    for name, spec in known.items():
        place = f"{key}.{name}".lstrip(".")
        if name in value:
            result[spec.name] = parse(hints[spec.name], value[name], place)
            check_limits(spec.metadata.get("limits"), result[spec.name], place)
        elif spec.default is MISSING and spec.default_factory is MISSING:
            raise ValueError(f"{place} is missing; it has no default")
    try:
        return kind(**result)
    except ValueError as error:  # of a block, which does not know where it stands
        raise ValueError(error if str(error).startswith(key) else f"{key}.{error}") from None


def check_limits_of(kind, value, key):
    """Of an annotation such as ``Annotated[float, within(0, 1)]``."""
    if get_origin(kind) is Annotated:
        check_limits(get_args(kind)[1], value, key)


def check_limits(limits: Limits | None, value, key):
    for number in value if limits and isinstance(value, list) else [value]:
        if not limits or not isinstance(number, (int, float)):
            continue
        if not limits.low <= number <= limits.high or abs(number) == ENDLESS:
            raise ValueError(f"{key} is {shown(number)}; allowed: {limits.low} to {limits.high}")


def require(condition, key, value, wanted):
    if not condition:
        raise ValueError(f"{key} is {shown(value)}; it takes {wanted}")


def unknown_key(section, name, known):
    close = get_close_matches(shown(name).strip("'"), known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"allowed: {', '.join(known)}"
    return f"unknown key {inside(section, name)} in params.yaml; {hint}"


def inside(section, name):
    """The dotted place of a key, whatever it may be."""
    plain = isinstance(name, str) and name.isprintable() and len(name) <= 100
    return ".".join(filter(None, [section, name if plain else shown(name)]))
