"""Damages of params.yaml; what is accepted must be what DVC's own reading of the file gives."""

import dataclasses
import math
import os
import re
import unicodedata
from pathlib import Path

from tests.conftest import ROOT
from tests.fuzz.outcome import (
    LATE,
    RIGHT,
    SILENT,
    TRACEBACK,
    Damage,
    NoMeaning,
    Outcome,
    last_line,
    refusal,
)
from tests.fuzz.values import Raw, brief, damage_bytes, odd_value, pick, replace_file, to_json

PRESETS = ("symbols", "own_data", "smoke", "lvis_v1_r50")
TEXTS = (
    "yes", "no", "on", "off", "Yes", "TRUE", "True", "~", "null", "Null", "", "012", "0o17", "0x1F",
    "0b11", "1_000", "1e-3", "1.e3", "1e3", ".5", "5.", "+1", "-0", ".nan", ".NaN", ".inf", "-.Inf",
    "190:20:30", "1:30", "2024-01-01", "2024-01-01T00:00:00Z", "!!str 5", '!!int "5"', "!!float 3",
    "!!binary aGk=", "!!set {a, b}", "!!omap [a: 1]", "!!pairs [a: 1]", "!!null x", "!!bool yes",
    '!!python/object/apply:os.system ["true"]', "!custom x", "!!timestamp 2001-01-01", "! x",
    "&a 5", "*a", "&a [*a]", "&a {b: *a}", "{<<: {a: 1}}", "<<", "=", '"\\ud83d"', '"a\\0b"',
    '"a\\nb"', '"\\e[31m"', "|\n  some\n  lines\n", ">-\n  some\n  lines\n", "9" * 400, "9" * 5000,
    "9223372036854775808", "18446744073709551616", "1e400", "1.0", "2.0", "12e03", '"1"', "'2'",
    "@x", "`x`", "%x", "- a", "? a", "a: b", "[1, 2]", "[]", "{}", "{a: 1}", "[a, [b]]", "x" * 5000,
    "../x", "/", "a b", "a\tb", "\u00fc", "u\u0308", "\u732b", "${x}", "$HOME", "-x", ".x", "a.b",
    "a/b", "a#b", "a #b", "'a''b'", '"unclosed', "[unclosed", "{unclosed", "\x07", "\u0085",
    "\ufeff", "~nobody1/x", "\u2028", "1.5", "-1", "0", "true", "false", "auto", "1__0", "0.", "00",
    "0x",
)  # fmt: skip
DEEP = tuple(Raw(a * n + b * n) for n in (50, 900, 5000, 100_000) for a, b in ("[]", ("{a: ", "}")))
KEYS = (
    "yes", "1", "1.5", "null", "true", '"\\ud83d"', "[a]", "{a: 1}", "? [a]\n ", "\u00fc",
    "u\u0308", "x" * 300, "x" * 90, "a b", "A", "-", '""', "2024-01-01", "!!binary aGk=", "<<",
    "*a", "&a b", "a.b", "../a", "~", '"a\\nb"', "\u212a", "con", "=", ".nan",
)  # fmt: skip


def make(rng, folder: Path) -> Damage:
    """Write a preset with one damage."""
    from ruamel.yaml import YAML

    path = folder / "params.yaml"
    preset = ROOT / f"configs/presets/{pick(rng, PRESETS)}.yaml"
    text = preset.read_text(encoding="utf-8")
    kind = pick(rng, ["value", "value", "value", "value", "key", "key", "twice", "text", "file"])
    if kind in ("text", "file"):
        path.write_text(text, encoding="utf-8")
        return Damage(damage_text(rng, path) if kind == "text" else replace_file(rng, path), ())
    tree = YAML(typ="safe", pure=True).load(text)
    place = pick(rng, list(places(tree)))
    parent = follow(tree, place[:-1])
    dotted = ".".join(map(str, place))
    if kind == "value":
        value = Raw(pick(rng, TEXTS)) if rng.random() < 0.7 else odd_value(rng)
        value = pick(rng, DEEP) if rng.random() < 0.05 else value
        parent[place[-1]] = value
        what = f"{dotted} = {brief(value)}"
    elif kind == "twice":
        value = parent[place[-1]]
        if isinstance(parent, dict):
            parent[Raw(pick(rng, [place[-1], f'"{place[-1]}"', f"!!str {place[-1]}"]))] = value
        else:
            parent.append(value)
        what = f"{dotted} twice"
    else:
        key = Raw(pick(rng, KEYS))
        if isinstance(parent, dict):
            parent[key] = parent.pop(place[-1]) if rng.random() < 0.5 else parent[place[-1]]
        else:
            parent[place[-1]] = key
        what = f"{dotted} under the key {brief(key)}"
    path.write_text(emit(tree) + "\n", encoding="utf-8", errors="surrogatepass")
    return Damage(f"{preset.stem}: {what}", ())


def places(tree, place=()):
    """The path of every value in it."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in pairs:
        yield (*place, key)
        if isinstance(value, dict | list):
            yield from places(value, (*place, key))


def follow(tree, place):
    for key in place:
        tree = tree[key]
    return tree


def emit(value, indent=0) -> str:
    """Block mappings, the rest as JSON; ``Raw`` keys and values as they stand."""
    if not isinstance(value, dict) or not value:
        return value if isinstance(value, Raw) else yaml_scalar(value)
    lines = []
    for key, inner in value.items():
        name = key if isinstance(key, Raw) else to_json(str(key))[1:-1]
        body = emit(inner, indent + 2)
        block = isinstance(inner, dict) and inner
        lines.append(" " * indent + name + (":\n" if block else ": ") + body)
    return "\n".join(lines)


def yaml_scalar(value):
    if isinstance(value, float) and not math.isfinite(value):
        return {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}[repr(value)]
    return to_json(value)


def damage_text(rng, path):
    text = path.read_text(encoding="utf-8")
    kind = pick(rng, ["bytes", "bytes", "tabs", "list", "documents", "1.1", "bomb", "deep", "ended",
                      "merge", "alias", "unicode"])  # fmt: skip
    if kind == "bytes":
        return damage_bytes(rng, path)
    if kind == "tabs":
        text = text.replace("  ", "\t", 1)
    elif kind == "list":
        text = "- a\n- b\n"
    elif kind == "documents":
        text = text + "---\n" + text
    elif kind == "1.1":
        text = pick(rng, ["%YAML 1.1\n---\n", "%YAML 2.0\n---\n", "%TAG ! x\n---\n"]) + text
        text = text.replace("seed: 0", "seed: 012")
    elif kind == "bomb":
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
        text = "\n".join(lines) + "\n" + text
    elif kind == "deep":
        text += "deep: " + pick(rng, DEEP) + "\n"
    elif kind == "ended":
        text = text.replace("\ntrain:", "\n...\ntrain:", 1)
    elif kind == "merge":
        text = re.sub(r"\n  (\w+):\n    loss: \{type: bce\}", r"\n  \1:\n    <<: {prior: 0.02}\n"
                      r"    loss: {type: bce}", text, count=1)  # fmt: skip
    elif kind == "alias":
        text = text.replace("seed: 0", "seed: &s 7", 1).replace("  seed: 0", "  seed: *s")
        text = text.replace("workers: 1", "workers: *s").replace("workers: 2", "workers: *s")
    else:
        text = text.replace("seed", pick(rng, ["\uff53eed", "se\u200bed", "seed\u00a0"]), 1)
    path.write_text(text, encoding="utf-8")
    return kind


# --- judging --------------------------------------------------------------------------------


def judge(folder: Path, damage: Damage) -> Outcome:
    """`pipeline.params.load` refuses, or gives the file's values as DVC reads them."""
    from pipeline import params
    from pipeline.failures import explain

    os.chdir(folder)
    try:
        loaded = params.load()
    except (ValueError, OSError, RuntimeError) as error:
        text = explain(error)
        if text is None:
            return Outcome(TRACEBACK, last_line(error))
        text = str(error) if "\n" in str(error) else text
        return refusal(text, (key_or_file(damage),))
    except Exception as error:
        return Outcome(TRACEBACK, last_line(error))
    try:
        tree = read_as_dvc()
        expect(tree, plain(loaded), "")
        check_names(loaded)
    except NoMeaning as reason:
        return Outcome(SILENT, f"accepted: {reason}")
    try:
        [loaded.data.images(split).is_dir() for split in ("train", "val")]
        loaded.data.files()
    except OSError:  # a name that no disk takes, which it says in one line
        pass
    except Exception as error:
        return Outcome(LATE, last_line(error))
    return Outcome(RIGHT, "")


def key_or_file(damage):
    """A refusal names params.yaml or a key of it."""
    keys = (
        "data|detector|train|representation|classifier|calibration|predict|report|compute|tracking"
    )
    return rf"params\.yaml|\b(?:seed|pretrained|{keys})\b"


def read_as_dvc():
    from dvc.exceptions import DvcException
    from dvc.utils.serialize import parse_yaml

    try:
        return parse_yaml(Path("params.yaml").read_text(encoding="utf-8"), "params.yaml")
    except (DvcException, ValueError, RecursionError, OSError) as error:
        raise NoMeaning(f"DVC refuses it: {last_line(error)}") from None


def plain(value):
    """Dataclasses as mappings by the names of their keys in the file."""
    if hasattr(value, "as_yaml"):
        return plain(value.as_yaml())
    if dataclasses.is_dataclass(value):
        return {
            f.metadata.get("key", f.name): plain(getattr(value, f.name))
            for f in dataclasses.fields(value)
        }
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value


LEFT_TO_THE_LOSS = ("prior", "predictor", "warmup_iters", "clip_gradient")


def expect(read, found, key):
    """Every value of ``read`` is in ``found``, of the same type but for whole floats; null leaves
    some keys of a block to its loss."""
    if read is None and key.rpartition(".")[2] in LEFT_TO_THE_LOSS:
        return
    if isinstance(read, dict):
        if not isinstance(found, dict):
            raise NoMeaning(f"{key} is read as {brief(found)}")
        for name, inner in read.items():
            if not isinstance(name, str):
                raise NoMeaning(f"{key} has the key {name!r}")
            if name not in found:
                raise NoMeaning(f"{key}.{name} is ignored")
            expect(inner, found[name], f"{key}.{name}".lstrip("."))
    elif isinstance(read, list):
        if not isinstance(found, list) or len(found) != len(read):
            raise NoMeaning(f"{key} is read as {brief(found)}")
        for position, inner in enumerate(read):
            expect(inner, found[position], f"{key}[{position}]")
    else:
        number = type(read) is int and type(found) is float
        if (type(read) is not type(found) and not number) or read != found:
            raise NoMeaning(f"{key} is {brief(found)}, DVC reads {brief(read)}")
        if not isinstance(read, str | int | float | type(None)):
            raise NoMeaning(f"{key} is {brief(read)}")
        if isinstance(read, str) and any(unicodedata.category(c) in ("Cc", "Cs") for c in read):
            raise NoMeaning(f"{key} is the text {brief(read)}")
        if isinstance(read, int | float) and not abs(read) < 2**63:
            raise NoMeaning(f"{key} is {brief(read)}")


def check_names(loaded):
    """Names become files: short, and apart also where a disk knows no capitals."""
    names = [*loaded.representation, *loaded.pretrained, *loaded.classifier, *loaded.calibration]
    for name in [*names, loaded.data.name]:
        if len(name) > 100:
            raise NoMeaning(f"a name of {len(name)} characters")
    if len({name.casefold() for name in names}) < len(names):
        raise NoMeaning(f"two names differ only by capitals: {names}")
