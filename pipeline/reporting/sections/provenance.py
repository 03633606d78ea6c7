"""Where the numbers come from: data, models, versions, and the parameters in force."""

import io
from importlib.metadata import PackageNotFoundError, version

from ruamel.yaml import YAML

from pipeline.params.methods import SECTIONS
from pipeline.params.plain import NOT_PART, plain
from pipeline.reporting.sections import Section
from pipeline.tables.seeds import read_earlier

TITLE = "Provenance"
PLACE = 100
REQUIRED = "representation"  # the section that params.yaml has even where it is empty
PACKAGES = ("hotcoco", "onedl-mmdetection", "onedl-mmcv", "onedl-mmengine", "dvc", "mlflow")


def make(inputs) -> Section:
    return Section(
        {
            "digests": data_digests(inputs),
            "models": model_rows(inputs),
            "other_seeds": other_seeds(inputs),
            "remakes": remakes(inputs),
            "versions": versions(),
            "params_yaml": resolved_yaml(inputs.params, inputs.methods),
        }
    )


def data_digests(inputs) -> dict[str, str]:
    """split -> the sha256 that `prepare` gave its annotations; without what is not there."""
    folder = inputs.root / "data" / inputs.params.data.name / "index"
    files = {split: folder / split / "digest.txt" for split in ("train", "val")}
    return {split: path.read_text().strip() for split, path in files.items() if path.is_file()}


def model_rows(inputs) -> list[dict]:
    """Per trained or imported model what environment.json says of where it was made."""
    return [
        {
            "name": name,
            "commit": (found.get("git_commit") or "")[:12],
            "uncommitted": found.get("git_dirty", False),
            **{
                key: found.get(key)
                for key in ("started", "device", "ranks", "python", "torch", "hostname")
            },
        }
        for name, found in inputs.environments.items()
    ]


def other_seeds(inputs) -> list[dict]:
    """Where the numbers of each further seed come from, as the stage `seeds` noted it."""
    found = read_earlier(inputs.root)
    return [
        {"method": method, "seed": int(seed), "run": entry["run"], "place": entry["place"]}
        for method in inputs.methods
        for seed, entry in found.get(method, {}).items()
    ]


def remakes(inputs) -> list[dict]:
    """Per commit the models made with it.

    Nearly always one; at least one, without a commit where none is known. ``uncommitted`` names the
    models that were made with changes to the commit.
    """
    found: dict[str, list] = {}
    for name, environment in inputs.environments.items():
        found.setdefault(commit_of(environment), []).append(name)
    return [
        {
            "commit": commit,
            "models": models,
            "uncommitted": [m for m in models if inputs.environments[m].get("git_dirty")],
        }
        for commit, models in (found or {"": []}).items()
    ]


def commit_of(environment) -> str:
    return (environment.get("git_commit") or "")[:12]


def versions() -> dict[str, str]:
    """Of the installed packages that results depend on."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def resolved_yaml(params, methods) -> str:
    """The blocks of params.yaml behind these methods, defaults written out."""
    tree = {key: value for key, value in plain(params).items() if key not in NOT_PART}
    used = {name for method in methods for name in params.ancestry(method)}
    for section in SECTIONS:
        tree[section] = {name: block for name, block in tree[section].items() if name in used}
        if not tree[section] and section != REQUIRED:
            del tree[section]
    out = io.StringIO()
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.dump(tree, out)
    return out.getvalue()
