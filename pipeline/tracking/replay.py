"""DVC experiments -> the mirror, from what git and DVC's cache keep of them.

An experiment of `dvc exp run --temp` or of an ablation ran in a copy that is gone. If no server
answered then, its files are still in git (refs/exps) and its models in DVC's cache: this lays them
out in a temporary folder, and mirrors that.
"""

import io
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import params as params_file
from pipeline.files import read_json
from pipeline.runs.dvc_cache import cache_folder, cached
from pipeline.runs.dvc_lock import locked_stages
from pipeline.runs.experiments import finished
from pipeline.tracking import collect, server, stamp
from pipeline.tracking.sync import find_folder, sync


@dataclass
class Copy:
    """Whose copy a folder is: the mirror's settings and place are those of the project.

    ``taken`` maps a configuration's hash to whose results its runs show: one experiment's only, as
    several would replace each other at every sync.
    """

    name: str
    project: Path
    tracking: Any
    scanner: stamp.FileScanner
    taken: dict

    def who_shows(self, configuration):
        return self.taken.setdefault(configuration, self.name)


def sync_experiments(root):
    """Mirror every experiment, the newest first; returns a text with a line for each."""
    root = Path(root).resolve()
    params = params_file.load(root / "params.yaml")
    project = server.project_root(root)
    uri = server.resolve_uri(params.tracking.uri, project)
    if not params.tracking.enabled:
        return "no experiments were mirrored: tracking is off"
    if reason := server.why_unreachable(uri):
        return f"no experiments were mirrored: {reason}"
    scanner = stamp.FileScanner(stamp.read_stamp(root))
    cache, lines = cache_folder(root), []
    taken = own_configuration(root, params, scanner)
    for name, reference in reversed(finished(root).items()):
        copy = Copy(name, project, params.tracking, scanner, taken)
        with tempfile.TemporaryDirectory(prefix="mirror-") as folder:
            lines.append(f"{name}: {mirror_one(root, reference, cache, Path(folder), copy)}")
    return "\n".join(lines) or "there are no experiments"


def own_configuration(root, params, scanner):
    """What the project's own folder shows, if it is complete."""
    folder = find_folder(root, params, scanner, {})
    if folder is None:
        return {}
    parent = collect.collect_pipeline(folder, collect.collect_stages(folder))
    return {parent.tags["config_hash"]: "this folder"} if parent.finished else {}


def mirror_one(root, reference, cache, folder, copy):
    try:
        lay_out(root, reference, cache, folder)
        return sync(folder, force=True, copy=copy).partition("\n")[0]
    except (ValueError, OSError) as error:  # such as a params.yaml of older code
        return f"left out: {error}"


def git(root, *arguments):
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True)
    if done.returncode:
        text = " ".join(done.stderr.decode(errors="replace").split())
        raise ValueError(f"git {arguments[0]}: {text}")
    return done.stdout


def lay_out(root, reference, cache, folder):
    """What git has of the experiment, and links to what DVC's cache has of its outputs.

    ``ValueError`` if an output is in neither: half an experiment would look like a whole one.
    """
    with tarfile.open(fileobj=io.BytesIO(git(root, "archive", reference))) as archive:
        archive.extractall(folder, filter="data")
    stages = locked_stages(folder, params_file.load(folder / "params.yaml"))
    for stage in stages.values():
        for out in stage.get("outs", []):
            target = folder / out["path"]
            if not (target.exists() or link_output(cache, out.get("md5", ""), target)):
                raise ValueError(f"{out['path']} is neither in git nor in DVC's cache any more")


def link_output(cache, md5, target):
    """A file, or the files of a folder; not those of its folders, which are images and indexes.

    False if one of them is not in the cache.
    """
    if not md5.endswith(".dir"):
        return link(cache, md5, target)
    listing = cached(cache, md5)
    return listing.is_file() and all(
        link(cache, entry["md5"], target / entry["relpath"])
        for entry in read_json(listing)
        if "/" not in entry["relpath"]
    )


def link(cache, md5, target):
    source = cached(cache, md5)
    if source.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(source)
    return source.is_file()
