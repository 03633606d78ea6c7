"""The two rules of docs/architecture.md: rooms import downwards only, and a part is one file."""

import ast
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from pipeline.params.parts import Calibrator, Features, Loss, Predictor, Sampler
from pipeline.runs.closure import Code, package_of, parse_source
from pipeline.runs.identity import CLOSED

ROOT = Path(__file__).resolve().parents[2]
# A room imports from floors below its own, never from its own floor and never upwards.
FLOORS = (
    ("ground",),
    ("params", "pages"),
    ("data",),
    ("runs", "evaluation"),
    ("compute", "detection", "tables"),
    ("weights", "diagnosis"),
    ("training", "reporting"),
    ("serving",),
    ("tracking",),
    ("comparison",),
    ("ablation", "presets"),
    ("stages",),
)
GROUND = {"files", "messages", "masking", "percent", "failures", "command_line"}
HEADS = re.compile(r"(?<![a-z])(roi_head|bbox_head|rcnn|retina_\w+)(?![a-z])")
ARE_HEADS = {  # the heads themselves, and what registers them
    f"pipeline/detection/{name}.py" for name in ("__init__", "bbox_head", "dense_head", "roi_head")
}
FAMILIES = "pipeline/detection/families/"
PARTS = (Loss, Sampler, Features, Predictor, Calibrator)
BY_NAME = (  # folders whose files are called as params.yaml or the page calls them
    *(f"pipeline/detection/{kind.folder}" for kind in PARTS),
    *("pipeline/data/sources", "pipeline/reporting/sections"),
)
LONGEST_STAGE = 45
WITHOUT_TORCH = ("prepare", "fetch_checkpoint", "evaluate", "diagnose", "seeds", "report", "track")


@cache
def files() -> dict[str, Path]:
    """Dotted name -> file."""
    found = [*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "stages").glob("*.py")]
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in sorted(found)
    }


@cache
def imports(module: str) -> set[str]:
    """The project's modules that ``module`` imports anywhere, also inside of functions."""
    file = files()[module]
    names = parse_source(file.read_text(encoding="utf-8"), package_of(file)).names
    return {known for name in names if (known := nearest(name)) and known != module}


def nearest(name) -> str:
    """The module of a dotted name that may end in what the module has."""
    while name and name not in files():
        name = name.rpartition(".")[0]
    return name


def room(module: str) -> str:
    first, *rest = module.split(".")
    if first == "stages":
        return first
    return "ground" if not rest or rest[0] in GROUND else rest[0]


def floor(of_room: str) -> int:
    return next(i for i, rooms in enumerate(FLOORS) if of_room in rooms)


def test_every_room_has_its_floor():
    rooms = [name for names in FLOORS for name in names]
    assert len(rooms) == len(set(rooms))
    assert {room(module) for module in files()} == set(rooms)


def test_no_circle_between_files():
    graph = {module: imports(module) - packages_of(module) for module in files()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def packages_of(module) -> set[str]:
    """Above it: `from . import other` names the package, and runs nothing of it that is not run."""
    parts = module.split(".")
    return {".".join(parts[:length]) for length in range(1, len(parts))}


def test_no_arrow_leads_upwards_or_to_the_side():
    wrong = [
        f"{module} imports {other}"
        for module in files()
        for other in imports(module)
        if room(other) != room(module) and floor(room(other)) >= floor(room(module))
    ]
    assert wrong == []


def test_the_table_of_rooms_is_true():
    """docs/architecture.md says of each room its floor and what it imports."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| *(\d*) *\| (?:`([\w.]+)/?`|ground) \|.*\| (.*) \|$", text, re.MULTILINE)
    said, number = {}, 0
    for label, name, imported in rows:
        number = int(label or number)
        names = set(re.findall(r"\w+", re.sub(r"\(.*?\)", "", imported)))
        said[name.removesuffix(".py") or "ground"] = (number - 1, names)
    said["stages"] = (said["stages"][0], arrows()["stages"])
    assert said == {name: (floor(name), arrows()[name]) for names in FLOORS for name in names}


def arrows() -> dict[str, set[str]]:
    """Room -> the rooms that it imports, but for the ground."""
    found = {name: set() for names in FLOORS for name in names}
    for module in files():
        found[room(module)] |= {room(other) for other in imports(module)}
    return {name: others - {name, "ground"} for name, others in found.items()}


def code_words(file: Path) -> list[tuple[int, str]]:
    """(line, word) of names, attributes, arguments and texts, but for docstrings."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [
        (getattr(node, "lineno", 0), value)
        for node in ast.walk(tree)
        if id(node) not in said
        for _, value in ast.iter_fields(node)
        if isinstance(value, str)
    ]


def test_only_families_name_the_heads_of_a_detector():
    found = [
        f"{path}:{line}: {word}"
        for path, file in ((p.relative_to(ROOT).as_posix(), p) for p in files().values())
        if not path.startswith(FAMILIES) and path not in ARE_HEADS
        for line, word in code_words(file)
        if HEADS.search(word)
    ]
    assert found == []


def test_params_names_no_part():
    """But for a key that there was once: what it is now names its part."""
    names = {name for kind in PARTS for name in kind.known()}
    names |= {file.stem for file in (ROOT / "pipeline/data/sources").glob("[!_]*.py")}
    names -= {"lvis"}  # a grouping is called so too
    assert {"fcbl", "hallucination", "symbols"} <= names
    found = [
        f"{module}: {node.value}"
        for module, file in files().items()
        if room(module) == "params"
        for node in without_old_keys(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and node.value in names
    ]
    assert found == []


def without_old_keys(tree):
    lines = [node for node in ast.walk(tree) if isinstance(node, ast.AnnAssign)]
    old = [line for line in lines if getattr(line.target, "id", "") == "old_keys"]
    left_out = {id(node) for line in old for node in ast.walk(line)}
    return [node for node in ast.walk(tree) if id(node) not in left_out]


def folder_of(file: Path) -> str:
    return file.parent.relative_to(ROOT).as_posix()


def test_a_part_is_imported_by_no_file():
    """Parts are found by their names; what two of them share stands in a file that is none."""
    parts = {m for m, file in files().items() if folder_of(file) in BY_NAME and file.stem in m}
    parts -= {folder.replace("/", ".") for folder in BY_NAME}
    wrong = [f"{m} imports {other}" for m in files() for other in imports(m) if other in parts]
    assert len(parts) > 15
    assert wrong == []


def test_no_two_files_have_the_same_name():
    """But for those that are found by their names, and a stage's script beside what it calls."""
    named = [
        file.name
        for module, file in files().items()
        if folder_of(file) not in BY_NAME and room(module) != "stages"
    ]
    twice = {name for name, count in Counter(named).items() if count > 1}
    assert twice == {"__init__.py", "__main__.py"}


@pytest.mark.parametrize("stage", sorted((ROOT / "stages").glob("[!_]*.py")), ids=lambda p: p.stem)
def test_a_stage_is_a_thin_script(stage):
    """Its docstring says what it reads and writes; loops and arithmetic are somebody else's."""
    text = stage.read_text(encoding="utf-8")
    tree = ast.parse(text)
    kinds = Counter(type(node) for node in ast.walk(tree))
    assert len(text.splitlines()) < LONGEST_STAGE
    assert {"reads", "writes"} <= set(ast.get_docstring(tree).lower().split())
    assert kinds[ast.FunctionDef] <= 3
    assert not {ast.While, ast.ClassDef, ast.Lambda} & kinds.keys()


@pytest.mark.parametrize("stage", WITHOUT_TORCH)
def test_what_needs_no_torch_reaches_none(stage):
    """Nor where it imports inside of functions; the rooms that change no number may."""
    assert not {"torch", "mmdet"} & Code(ROOT).closure([f"stages/{stage}.py"], CLOSED).packages


@pytest.mark.parametrize("stage", sorted(p.stem for p in (ROOT / "stages").glob("[!_]*.py")))
def test_a_stage_says_its_help_without_torch(stage, root):
    code = f"import sys, stages.{stage}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert not {"torch", "mmdet", "mmengine", "mlflow"} & set(done.stdout.split())
