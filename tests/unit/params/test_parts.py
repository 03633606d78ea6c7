"""A part is one file: its knobs are read from it without running it, and are its constructor's."""

import inspect
import subprocess
import sys
from dataclasses import MISSING
from typing import Literal, get_args

import pytest

from pipeline.params import parts
from pipeline.params.limits import Limits
from pipeline.params.parts import (
    BLOCK,
    DETECTION,
    GIVEN,
    Calibrator,
    Features,
    Loss,
    Predictor,
    Sampler,
    read_signature,
)
from pipeline.params.plain import plain

KINDS = (Loss, Sampler, Features, Predictor, Calibrator)
REAL = [(kind, name) for kind in KINDS for name in kind.known()]
FILE = """
from nowhere import MODELS  # it is never run

raise RuntimeError("nor this")


class Base:
    def __init__(self, other=1): ...


@MODELS.register_module(name="sample")
class Sample(Base):
    block = {"prior": 0.02, "clip_gradient": 35.0}
    needs = {"alpha": "margin"}
    computed = MODELS.prior

    def __init__(
        self,
        num_classes,
        image_count,
        alpha: Annotated[float, within(0, 1)] = 0.5,
        margin: bool = True,
        kind: Literal["a", "b"] = "a",
        sizes: Annotated[list[int], within(1)] = (1, 2),
        limit: Annotated[int | None, within(-1)] = None,
        plain=2.0,
        *,
        word: str,
        seed=SOME_SEED,
    ): ...
"""


@pytest.fixture
def sample(tmp_path, monkeypatch):
    """Writes the file of the loss `sample`."""
    monkeypatch.setattr(parts, "DETECTION", tmp_path)
    read_signature.cache_clear()

    def write(text=FILE, name="sample"):
        read_signature.cache_clear()
        path = tmp_path / "losses" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    yield write
    read_signature.cache_clear()


def with_knob(text):
    head = '@M.register_module(name="sample")\nclass Sample:\n'
    return f"{head}    def __init__(self, {text}): ...\n"


def loss(**knobs):
    return Loss.from_yaml({"type": "sample", **knobs}, "here.loss")


def test_defaults_are_written_out(sample):
    sample()
    assert loss(word="w").as_yaml() == {
        "type": "sample", "alpha": 0.5, "margin": True, "kind": "a", "sizes": (1, 2),
        "limit": None, "plain": 2.0, "word": "w",
    }  # fmt: skip


def test_what_is_given_replaces_them_and_is_what_has_changed(sample):
    sample()
    found = loss(word="w", alpha=1, sizes=[3], limit=-1, kind="b", margin=True)
    given = {"alpha": 1.0, "sizes": [3], "limit": -1, "kind": "b", "word": "w"}
    assert found.changed() == given
    assert type(found.knobs["alpha"]) is float
    assert found.knobs == {"margin": True, "plain": 2.0} | given


def test_the_signature_knows_what_is_handed_in_and_the_facts(sample):
    signature = read_signature(sample())
    assert signature.given == ("num_classes", "image_count", "seed")
    assert signature.facts == {
        "block": {"prior": 0.02, "clip_gradient": 35.0}, "needs": {"alpha": "margin"},
    }  # fmt: skip
    kind, default = signature.knobs["alpha"]
    assert (get_args(kind), default) == ((float, Limits(0, 1)), 0.5)
    assert signature.knobs["word"] == (str, MISSING)
    assert signature.knobs["plain"] == (None, 2.0)
    assert signature.knobs["kind"] == (Literal["a", "b"], "a")


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({}, ["here.loss.word is missing", "no default"]),
        ({"alhpa": 1}, ["unknown key here.loss.alhpa", "did you mean 'alpha'?"]),
        ({"zzz": 1}, ["here.loss.zzz", "allowed: type, alpha, margin, kind"]),
        ({"num_classes": 3}, ["unknown key here.loss.num_classes"]),
        ({"self": 3}, ["unknown key here.loss.self"]),
        ({"alpha": "high"}, ["here.loss.alpha is 'high'", "a number"]),
        ({"alpha": True}, ["here.loss.alpha is True", "a number"]),
        ({"alpha": None}, ["here.loss.alpha is None", "a number"]),
        ({"alpha": 1.5}, ["here.loss.alpha is 1.5", "0 to 1"]),
        ({"alpha": float("nan")}, ["here.loss.alpha is nan", "a finite number"]),
        ({"margin": 1}, ["here.loss.margin is 1", "true or false"]),
        ({"kind": "c"}, ["here.loss.kind is 'c'", "allowed: a, b"]),
        ({"sizes": 3}, ["here.loss.sizes is 3", "a list"]),
        ({"sizes": [1, "x"]}, ["here.loss.sizes[1] is 'x'", "a whole number"]),
        ({"sizes": [1, 0]}, ["here.loss.sizes is 0", "1 to inf"]),
        ({"limit": -2}, ["here.loss.limit is -2", "-1 to inf"]),
        ({"limit": 0.5}, ["here.loss.limit is 0.5", "a whole number"]),
        ({"plain": [1]}, ["here.loss.plain is [1]", "a number"]),
        ({"plain": "x"}, ["here.loss.plain is 'x'", "a number"]),
        ({"word": 3}, ["here.loss.word is 3", "a text"]),
    ],
)
def test_a_wrong_knob_is_one_line_with_key_value_and_what_is_allowed(sample, knobs, words):
    sample()
    with pytest.raises(ValueError, match=r"here\.loss") as caught:
        loss(**({"word": "w"} if knobs else {}) | knobs)
    message = str(caught.value)
    assert message.isprintable() and len(message) < 400
    for word in words:
        assert word in message


@pytest.mark.parametrize("value", ["sample", None, [], {}, {"alpha": 1}, 3])
def test_a_part_is_a_mapping_with_a_type(sample, value):
    sample()
    with pytest.raises(ValueError, match=r"^here\.loss is .*; it takes a mapping with a type"):
        Loss.from_yaml(value, "here.loss")


@pytest.mark.parametrize("value", ["sampel", "../losses/sample", "", None, 1, ["sample"], {}])
def test_a_wrong_type_lists_the_files_there_are(sample, value):
    sample()
    sample(name="other")
    sample(name="_helper")
    with pytest.raises(ValueError, match=r"^here\.loss\.type is .*; allowed: other, sample$"):
        Loss.from_yaml({"type": value}, "here.loss")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "class Sample:\n    def __init__(self, alpha=1): ...\n",
        '@M.register_module(name="another")\nclass sample: ...\n',
        "@M.register_module()\nclass sample: ...\n",
        "@M.register_module\nclass sample: ...\n",
    ],
)
def test_a_file_that_registers_nothing_under_its_name_says_how(sample, text):
    path = sample(text)
    with pytest.raises(ValueError, match="registers no class under its own name") as caught:
        loss()
    assert str(path) in str(caught.value)
    assert '@MODELS.register_module(name="sample")' in str(caught.value)


def test_of_several_classes_the_one_of_the_files_name_counts(sample):
    other = '@M.register_module(name="other")\nclass Other:\n    def __init__(self, b=1): ...\n\n'
    sample(other + with_knob("a=2"))
    assert loss().knobs == {"a": 2}


@pytest.mark.parametrize(
    "annotation",
    [
        "os.PathLike", "().__class__", "open('x', 'w')", "print", "eval('1')", "dict",
        "Annotated[float, within(open('x'))]", "[x for x in (1,)]", "lambda: 1", "'float'.join",
        "(float := int)", "float if open else int", "__import__('os')", "tuple[int, ...]",
    ],
)  # fmt: skip
def test_an_annotation_reaches_nothing_but_its_words(sample, annotation, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sample(with_knob(f"alpha: {annotation} = 1"))
    with pytest.raises(
        ValueError, match=r"alpha is annotated with .*; allowed: int, float"
    ) as caught:
        loss()
    assert "sample.py: " in str(caught.value)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("alpha=math.pi", r"the default of alpha is math\.pi; it takes a value"),
        ("alpha: float = 2 * 3", r"the default of alpha is 2 \* 3"),
        ("sizes=(1, 2)", r"sizes needs an annotation, such as list\[float\]"),
        ("*, sizes={}", "sizes needs an annotation"),
    ],
)
def test_a_default_is_a_plain_value(sample, text, words):
    sample(with_knob(text))
    with pytest.raises(ValueError, match=rf"sample\.py: {words}"):
        loss()


def test_a_block_wants_only_what_a_block_has(sample):
    path = sample(with_knob("a=1") + '    block = {"epochs": 3}\n')
    with pytest.raises(
        ValueError, match=r"'epochs'; it takes predictor, prior, warmup_iters, clip"
    ):
        loss().block  # noqa: B018
    assert path.is_file()


# of every part that there is


@pytest.mark.parametrize(("kind", "name"), REAL)
def test_the_signature_is_the_constructors(kind, name):
    """Also with what a base class would add: the file itself names every argument."""
    read, real = read_signature(kind.known()[name]), real_arguments(kind, name)
    assert list(read.knobs) == [key for key in real if key not in GIVEN]
    # num_classes is handed to all of a kind that takes it
    assert {*read.given, "num_classes"} == {*(real.keys() & GIVEN), "num_classes"}
    for key, (_, default) in read.knobs.items():
        found = MISSING if real[key].default is inspect.Parameter.empty else real[key].default
        assert (type(default), default) == (type(found), found)


def real_arguments(kind, name):
    """Of the class that the part's file has registered."""
    from mmdet.registry import DATA_SAMPLERS, MODELS

    import pipeline.detection  # noqa: F401

    module = f"pipeline.detection.{kind.folder}.{name}"
    registered = [registry.get(name) for registry in (MODELS, DATA_SAMPLERS)]
    (made,) = [found for found in registered if found and found.__module__ == module]
    arguments = inspect.signature(made).parameters.values()
    return {a.name: a for a in arguments if a.kind not in (a.VAR_POSITIONAL, a.VAR_KEYWORD)}


@pytest.mark.parametrize(("kind", "name"), REAL)
def test_every_part_keeps_the_contract_of_its_file(kind, name):
    """The defaults pass their own limits; what a class says of its knobs is about knobs."""
    signature = read_signature(kind.known()[name])
    required = {key: 1 for key, (_, default) in signature.knobs.items() if default is MISSING}
    part = kind.from_yaml({"type": name, **required}, "x")
    assert plain(kind.from_yaml(plain(part), "x")) == plain(part)
    needs = signature.facts.get("needs", {})
    assert {*needs, *needs.values()} <= signature.knobs.keys()
    assert all(isinstance(part.knobs[switch], bool) for switch in needs.values())
    assert part.file == kind.known()[name]
    if kind is Loss:
        assert part.block.keys() <= set(BLOCK)


def test_every_folder_of_parts_is_read():
    folders = {path.parent for path in DETECTION.glob("*/__init__.py")} - {DETECTION / "families"}
    assert {DETECTION / kind.folder for kind in KINDS} == folders
    assert {"bce", "cross_entropy", "fcbl"} <= Loss.known().keys()


def test_params_are_read_without_torch(root):
    heavy = {"torch", "mmdet", "mmengine", "numpy", "mlflow", "dvc", "pandas"}
    code = "import sys; from pipeline import params; params.load(); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert not heavy & set(done.stdout.split())
