"""Parts that are one file each: losses, samplers, feature sources, predictors, calibrations.

``{type: <name>, <knob>: ...}`` names ``pipeline/detection/<folder>/<name>.py``, and its knobs are
the arguments of the class that is registered there under this name, with their annotations and
defaults. The file is parsed and not run: params.yaml is checked without torch.
"""

import ast
from dataclasses import MISSING, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pipeline.messages import shown
from pipeline.params.limits import within
from pipeline.params.parse import check_limits_of, parse, require, unknown_key

DETECTION = Path(__file__).resolve().parents[1] / "detection"
GIVEN = {  # arguments that the pipeline hands in
    *("self", "num_classes", "image_count", "instance_count", "num_images", "fractal_dimension"),
    *("feature_dim", "in_features", "out_features", "index", "seed"),
}
WORDS = {"Annotated": Annotated, "Literal": Literal, "within": within}


@dataclass(frozen=True)
class Signature:
    """``knobs``: name -> (annotation or None, default or MISSING); ``facts``: the plain values
    that stand in the class's body; ``given``: what the pipeline must hand in."""

    knobs: dict[str, tuple[Any, Any]]
    given: tuple[str, ...]
    facts: dict[str, Any]


@dataclass(frozen=True)
class Part:
    """``knobs``: all of them, with the defaults written out."""

    folder: ClassVar[str]

    type: str
    knobs: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_yaml(cls, value: Any, key: str) -> "Part":
        """``ValueError`` names the key that is wrong, and what it takes."""
        require(isinstance(value, dict) and "type" in value, key, value, "a mapping with a type")
        known = cls.known()
        if value["type"] not in tuple(known):  # a list or mapping has no hash
            raise ValueError(f"{key}.type is {shown(value['type'])}; allowed: {', '.join(known)}")
        signature = read_signature(known[value["type"]])
        given = {name: knob for name, knob in value.items() if name != "type"}
        for name in given:
            if name not in signature.knobs:
                raise ValueError(unknown_key(key, name, signature.knobs))
        return cls(value["type"], resolve(signature, given, key))

    @classmethod
    def known(cls) -> dict[str, Path]:
        """type -> its file."""
        files = sorted((DETECTION / cls.folder).glob("[!_]*.py"))
        return {file.stem: file for file in files}

    @property
    def file(self) -> Path:
        return DETECTION / self.folder / f"{self.type}.py"

    @property
    def signature(self) -> Signature:
        return read_signature(self.file)

    def as_yaml(self) -> dict[str, Any]:
        """As in params.yaml with every knob; also what a registry builds it from, but for what the
        pipeline hands in."""
        return {"type": self.type, **self.knobs}

    def changed(self) -> dict[str, Any]:
        """The knobs that are not at their default."""
        defaults = {name: default for name, (_, default) in self.signature.knobs.items()}
        return {name: value for name, value in self.knobs.items() if value != defaults[name]}


@dataclass(frozen=True)
class Loss(Part):
    folder = "losses"

    @property
    def block(self) -> dict[str, Any]:
        """What the loss wants of the block it stands in, where that says nothing else."""
        wanted = dict(self.signature.facts.get("block", {}))
        if "predictor" in wanted:
            wanted["predictor"] = Predictor.from_yaml(wanted["predictor"], f"{self.file}: block")
        return wanted


@dataclass(frozen=True)
class Sampler(Part):
    folder = "samplers"


@dataclass(frozen=True)
class Features(Part):
    folder = "features"


@dataclass(frozen=True)
class Predictor(Part):
    folder = "predictors"


@dataclass(frozen=True)
class Calibrator(Part):
    folder = "calibrations"


def resolve(signature: Signature, given: dict, key: str) -> dict[str, Any]:
    values = {}
    for name, (kind, default) in signature.knobs.items():
        place = f"{key}.{name}"
        if name not in given:
            if default is MISSING:
                raise ValueError(f"{place} is missing; it has no default")
            values[name] = default
            continue
        kind = kind or (type(default) if default not in (MISSING, None) else Any)
        values[name] = parse(kind, given[name], place)
        check_limits_of(kind, values[name], place)
    return values


@lru_cache
def read_signature(file: Path) -> Signature:
    """Of the class that ``file`` registers under its own name."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    found = next((node for node in classes if file.stem in registered_names(node)), None)
    assert found, f"{file} registers no class under the name {file.stem!r}"
    init = next((n for n in found.body if getattr(n, "name", "") == "__init__"), None)
    arguments = signature_of(init.args) if init else {}
    return Signature(
        {name: knob for name, knob in arguments.items() if name not in GIVEN},
        tuple(name for name in arguments if name in GIVEN and name != "self"),
        facts_of(found),
    )


def registered_names(node: ast.ClassDef) -> set[str]:
    calls = [call for call in node.decorator_list if isinstance(call, ast.Call)]
    words = [ast.walk(keyword.value) for call in calls for keyword in call.keywords]
    return {n.value for word in words for n in word if isinstance(n, ast.Constant)}


def signature_of(arguments: ast.arguments) -> dict[str, tuple[Any, Any]]:
    positional, defaults = arguments.args, arguments.defaults
    pairs = list(zip(positional[len(positional) - len(defaults) :], defaults, strict=True))
    pairs += [(a, d) for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    values = {a.arg: ast.literal_eval(d) for a, d in pairs if d is not None}
    every = [*positional, *arguments.kwonlyargs]
    return {a.arg: (annotation_of(a), values.get(a.arg, MISSING)) for a in every}


def annotation_of(argument: ast.arg) -> Any:
    if argument.annotation is None or argument.arg in GIVEN:
        return None
    code = compile(ast.Expression(argument.annotation), argument.arg, "eval")
    return eval(code, dict(WORDS))


def facts_of(node: ast.ClassDef) -> dict[str, Any]:
    found = {}
    for line in node.body:
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
            try:
                found[line.targets[0].id] = ast.literal_eval(line.value)
            except ValueError:  # a value that is computed is nobody's setting
                continue
    return found
