"""Outputs of methods that params.yaml no longer has, in the folders that `report` reads whole.

DVC leaves them, and they would count: a colleague, to whom `dvc pull` brings the outputs of today's
methods only, would get another report and another dvc.lock.
"""

import hashlib
import json
import shutil
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.params import Params
from pipeline.runs.dvc_cache import cache_folder, cached

IN_CACHE = ("models", "predictions")  # outputs in the others are small, and made again in seconds
REMOVED = ".removed"  # what is on its way out, and would be half an output after a kill


def current_outputs(params: Params) -> dict[str, set[str]]:
    """The folders on which dvc.yaml lets `report` depend, and what stages make in each."""
    methods = params.report.methods
    return {
        "models": set(params.methods()),
        "predictions": {f"{method}.parquet" for method in methods},
        "reports/metrics": {f"{method}.json" for method in methods},
        "reports/per_category": {f"{method}.csv" for method in methods},
        "reports/diagnosis": set(methods),
    }


def remove_leftovers(params: Params, root=Path()) -> list[str]:
    """Remove what dvc.lock knows as it is, and DVC can bring back; lines that say so, and that name
    what is somebody's own."""
    found = []
    for folder, names in current_outputs(params).items():
        for grave in (root / folder).glob(f".*{REMOVED}"):
            bury(grave)
        entries = sorted((root / folder).glob("[!.]*"))
        found += [f"{folder}/{entry.name}" for entry in entries if entry.name not in names]
    if not found:
        return []
    outputs, cache = locked_outputs(root), cache_folder(root)
    gone = [path for path in found if can_come_back(root, path, outputs.get(path), cache)]
    for path in gone:
        remove(root / path)
    return list(tell(gone, [path for path in found if path not in gone]))


def tell(gone, own):
    if gone:
        yield f"removed, as params.yaml no longer has their methods: {', '.join(gone)}"
    if own:
        yield (
            f"no stage makes {', '.join(own)}, but the report depends on the whole folder and so "
            "comes out as changed for a colleague; keep such files elsewhere"
        )


def locked_outputs(root) -> dict[str, str]:
    path = root / "dvc.lock"
    try:
        lock = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        stages = lock["stages"].values()
        return {out["path"]: out["md5"] for stage in stages for out in stage.get("outs", [])}
    except (OSError, YAMLError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
        return {}  # missing, or half written: DVC itself says so


def can_come_back(root, path, md5, cache) -> bool:
    """Whether these very bytes are the output of a stage, as DVC has noted it."""
    needs_cache = path.split("/")[0] in IN_CACHE
    if md5 is None or (needs_cache and not cached(cache, md5).is_file()):
        return False
    files = digests(root / path)
    if needs_cache and not all(cached(cache, digest).is_file() for digest in files.values()):
        return False
    return md5 == (dvc_digest(files) if md5.endswith(".dir") else files.get("."))


def digests(path) -> dict[str, str]:
    """Relative path -> md5, of a file or of the files of a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return {file.relative_to(path).as_posix(): md5_of(file) for file in files}


def md5_of(path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with open(path, "rb") as file:
        while piece := file.read(2**20):
            digest.update(piece)
    return digest.hexdigest()


def dvc_digest(files) -> str:
    """DVC's name of a folder."""
    listing = [{"md5": md5, "relpath": path} for path, md5 in sorted(files.items())]
    text = json.dumps(listing, sort_keys=True)
    return f"{hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()}.dir"


def remove(path) -> None:
    bury(path.replace(path.with_name(f".{path.name}{REMOVED}")))


def bury(grave) -> None:
    if grave.is_dir() and not grave.is_symlink():
        shutil.rmtree(grave)
    else:
        grave.unlink()
