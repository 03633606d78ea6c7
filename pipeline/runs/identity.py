"""What a stage's result follows from, worked out and never listed by hand.

An entry is {params, code, packages, files}: the settings that the stage reads, with the defaults
written out; a digest of the code that it reaches; the versions of the packages that this code
computes with; digests of the files that it reads besides other stages' outputs. `check` writes the
entries of all stages to data/inputs.json, and in dvc.yaml each stage depends on its own. The same
entries are the key of a run folder, an experiment's name, MLflow's configuration, what makes two
seeds of one method the same, and a served model's identity.
"""

import contextlib
import hashlib
import importlib.metadata
import json
from functools import lru_cache
from pathlib import Path

from pipeline.data.places import ROOT
from pipeline.files import read_json, write_text
from pipeline.params import Calibration, Params, Pretrained
from pipeline.params.parts import Features
from pipeline.params.scope import stages_of, what_it_reads
from pipeline.runs import closure
from pipeline.runs.closure import Code
from pipeline.runs.digests import known_digest

INPUTS = Path("data", "inputs.json")
# What changes no number. The report's code is what it shows, so there these count as well.
SILENT = ("pipeline/compute", "pipeline/tracking")
CLOSED = (
    *SILENT,
    *("pipeline/params", "pipeline/runs", "pipeline/tables"),
    *("pipeline/command_line.py", "pipeline/failures.py"),
    *("pipeline/masking.py", "pipeline/messages.py"),
)
TRAINING = ("loss", "predictor", "features", "sampler")
PREDICTING = ("loss", "predictor", "features", "calibrator")
IDLE_PACKAGES = {"psutil", "ruamel", "tqdm"}  # they show, measure and read


def chain_inputs(params: Params, root: Path = ROOT) -> dict[str, dict]:
    """Stage instance, such as "predict@bacl", -> its entry."""
    code = Code(root)
    found = {
        address(stage, name): stage_inputs(params, stage, name, code)
        for stage, names in stages_of(params).items()
        for name in names
    }
    code.keep_notes()
    return found


def code_of(folder: Path) -> Path:
    """Where the code lies that a folder of results belongs to: there, or, if it has none, here."""
    return folder if (folder / "stages").is_dir() else ROOT


def address(stage: str, name: str = "") -> str:
    return f"{stage}@{name}" if name else stage


def stage_inputs(params: Params, stage: str, name: str = "", code: Code | None = None) -> dict:
    """The entry of one stage instance; ``code``: the project's own where it is another's."""
    code = code or Code(ROOT)
    closed = SILENT if stage == "report" else CLOSED
    reached = code.closure(entry_points(params, stage, name, code.root), closed)
    return {
        "params": what_it_reads(params, stage, name),
        "code": code.digest(reached.files),
        "packages": versions(reached.packages - IDLE_PACKAGES),
        "files": {key: known_digest(file) for key, file in files_read(params, stage, name).items()},
    }


def entry_points(params, stage, name, root) -> list[str]:
    """The stage's own script, and what is found by its name in params.yaml or by its folder."""
    found = [f"stages/{stage}.py"]
    if stage == "prepare":
        return [*found, f"pipeline/data/sources/{params.data.source}.py"]
    if stage == "report":
        sections = root / "pipeline" / "reporting" / "sections"
        return found + [str(file.relative_to(root)) for file in sorted(sections.glob("*.py"))]
    if stage in ("evaluate", "diagnose"):
        return found
    config = f"configs/detectors/{params.detector.config}.py"
    found += [family_file(root, config)]
    found += [str(file.relative_to(ROOT)) for file in part_files(params, stage, name)]
    if stage in ("predict", "calibrate"):  # which read the detector from models/<name>/config.py
        return found
    return [*found, config]


def family_file(root, config) -> str:
    """Of the family that the detector is of: the one whose ``HAS`` is a key of its model."""
    keys = closure.keys_of(root, config, "model")
    for file in sorted((root / "pipeline" / "detection" / "families").glob("[!_]*.py")):
        if closure.literal(file, "HAS") in keys:
            return str(file.relative_to(root))
    raise ValueError(f"{config}: its model has none of the heads that detection/families/ knows")


def part_files(params, stage, name) -> list[Path]:
    """Of the parts that the stage builds, to train them or to predict with them.

    A calibration has those of what it calibrates; what an imported file holds decides which
    features it has.
    """
    building = PREDICTING if stage in ("predict", "calibrate") else TRAINING
    methods = [params.method(name)]
    if isinstance(methods[0], Calibration):
        methods.append(params.method(methods[0].start))
    found = [part.file for m in methods for key in building if (part := getattr(m, key, None))]
    if any(isinstance(method, Pretrained) for method in methods):
        found += Features.known().values()
    return found


def files_read(params, stage, name) -> dict[str, Path]:
    """Key of params.yaml -> the file on this machine; a URL is known by its name."""
    if stage == "prepare":
        return params.data.files()
    if stage not in ("train_representation", "train_classifier"):
        return {}
    first = params.method(params.ancestry(name)[-1])
    weights = params.detector.weights or ""
    if first.stage != "train_representation" or not weights or "://" in weights:
        return {}
    return {"detector.weights": Path(weights).expanduser()}


def versions(modules) -> dict[str, str]:
    """Distribution -> version, without the build: "+cpu" computes what "+cu130" does."""
    known = distributions()
    found = {name for module in modules for name in known.get(module, ())}
    return {
        name: importlib.metadata.version(name).partition("+")[0]
        for name in sorted(found, key=str.lower)
    }


@lru_cache
def distributions() -> dict[str, list[str]]:
    """Top-level module -> the distributions that have it."""
    return importlib.metadata.packages_distributions()


def write_inputs(inputs: dict[str, dict]) -> None:
    write_text(INPUTS, as_text(inputs))


def read_inputs() -> dict[str, dict]:
    """What `check` wrote last here; {} where it has not, or somebody damaged it."""
    found = {}
    with contextlib.suppress(ValueError, AttributeError):
        for stage, entries in read_json(INPUTS).items():
            alone = isinstance(entries.get("code"), str)
            for name, entry in ({"": entries} if alone else entries).items():
                found[address(stage, name)] = entry
    return found


def as_text(inputs: dict[str, dict]) -> str:
    """JSON, since DVC reads the file once for every stage; its reader goes by all after the first
    dot of the name, so that has one."""
    return json.dumps(nested(inputs), indent=1, sort_keys=True) + "\n"


def nested(inputs: dict[str, dict]) -> dict:
    """As in data/inputs.json, whose keys DVC names with dots: stage -> name -> entry."""
    found = {}
    for place, entry in inputs.items():
        stage, _, name = place.partition("@")
        if name:
            found.setdefault(stage, {})[name] = entry
        else:
            found[stage] = entry
    return found


def digest(value, length: int = 16) -> str:
    """Hex digits of plain values."""
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def without_seed(inputs: dict[str, dict]) -> dict[str, dict]:
    """What all seeds of a configuration have in common."""
    return {
        place: {**entry, "params": {k: v for k, v in entry["params"].items() if k != "seed"}}
        for place, entry in inputs.items()
    }


def results_only(inputs: dict[str, dict]) -> dict[str, dict]:
    """Without the report, which shows the numbers and makes none."""
    return {place: entry for place, entry in inputs.items() if place != "report"}


def configuration(inputs: dict[str, dict], data: dict[str, str]) -> str:
    """One text for a run of the whole chain on data of these digests; the report's own code, which
    shows the numbers, does not make it another one."""
    shown = {"params": inputs["report"]["params"]}
    return digest([results_only(inputs), shown, data])
