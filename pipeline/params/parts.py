"""Parts that are one file each: losses, samplers, feature sources, predictors, calibrations.

``{type: <name>, <knob>: ...}`` names ``pipeline/detection/<folder>/<name>.py``, and its knobs are
the arguments of the class that is registered there under this name, with their annotations and
defaults. The file is parsed and not run: params.yaml is checked without torch. So defaults are
plain values, and annotations are made of the few words in ``WORDS``.
"""

import ast
from dataclasses import MISSING, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pipeline.messages import shown
from pipeline.params.limits import within
from pipeline.params.parse import SCALARS, check_limits_of, parse, require, unknown_key

DETECTION = Path(__file__).resolve().parents[1] / "detection"
GIVEN = {  # arguments that the pipeline hands in
    *("self", "num_classes", "image_count", "instance_count", "num_images", "fractal_dimension"),
    *("feature_dim", "in_features", "out_features", "index", "seed"),
}
WORDS = {
    **{kind.__name__: kind for kind in (int, float, bool, str, list)},
    **{"Annotated": Annotated, "Literal": Literal, "within": within},
}
GRAMMAR = (  # of an annotation; an attribute or another call would reach what is no setting
    *(ast.Name, ast.Constant, ast.Subscript, ast.Tuple, ast.Call, ast.keyword, ast.expr_context),
    *(ast.BinOp, ast.BitOr, ast.UnaryOp, ast.USub),
)
BLOCK = ("predictor", "prior", "warmup_iters", "clip_gradient")  # what a loss may want of its block


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
                raise ValueError(unknown_key(key, name, ("type", *signature.knobs)))
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
        place, wanted = f"block of {self.file}", dict(self.signature.facts.get("block", {}))
        for name in wanted:
            require(name in BLOCK, place, name, ", ".join(BLOCK))
        if "predictor" in wanted:
            wanted["predictor"] = Predictor.from_yaml(wanted["predictor"], f"{place}: predictor")
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
    """Of the class that ``file`` registers under its own name.

    ``ValueError`` names the file where that cannot be read.
    """
    tree = ast.parse(file.read_text(encoding="utf-8"), str(file))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    found = next((node for node in classes if file.stem in registered_names(node)), None)
    if not found:
        raise ValueError(
            f"{file} registers no class under its own name; decorate one with "
            f'@MODELS.register_module(name="{file.stem}")'
        )
    init = next((n for n in found.body if getattr(n, "name", "") == "__init__"), None)
    try:
        arguments = signature_of(init.args) if init else {}
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
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
    first = [None] * (len(positional) - len(defaults))
    pairs = [*zip(positional, [*first, *defaults], strict=True)]
    pairs += zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    return {a.arg: (None, MISSING) if a.arg in GIVEN else knob_of(a, node) for a, node in pairs}


def knob_of(argument: ast.arg, default: ast.expr | None) -> tuple[Any, Any]:
    """(annotation or None, default or MISSING)."""
    kind, value = annotation_of(argument), default_of(argument, default)
    if kind is None and value not in (MISSING, None) and type(value) not in SCALARS:
        raise ValueError(f"{argument.arg} needs an annotation, such as list[float]")
    return kind, value


def default_of(argument: ast.arg, default: ast.expr | None) -> Any:
    try:
        return MISSING if default is None else ast.literal_eval(default)
    except ValueError:
        found = ast.unparse(default)
        raise ValueError(f"the default of {argument.arg} is {found}; it takes a value") from None


def annotation_of(argument: ast.arg) -> Any:
    if argument.annotation is None:
        return None
    nodes = list(ast.walk(argument.annotation))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    calls = [ast.unparse(node.func) for node in nodes if isinstance(node, ast.Call)]
    plain = all(isinstance(node, GRAMMAR) for node in nodes)
    if not plain or names - WORDS.keys() or set(calls) - {"within"}:
        found = ast.unparse(argument.annotation)
        raise ValueError(
            f"{argument.arg} is annotated with {found}; allowed: {', '.join(WORDS)}, None and |"
        )
    code = compile(ast.Expression(argument.annotation), argument.arg, "eval")
    return eval(code, {"__builtins__": {}, **WORDS})


def facts_of(node: ast.ClassDef) -> dict[str, Any]:
    found = {}
    for line in node.body:
        if isinstance(line, ast.Assign) and isinstance(line.targets[0], ast.Name):
            try:
                found[line.targets[0].id] = ast.literal_eval(line.value)
            except ValueError:  # a value that is computed is nobody's setting
                continue
    return found
