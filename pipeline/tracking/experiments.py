"""DVC experiments -> the mirror, from what git and DVC's cache keep of them.

An experiment of `dvc exp run --temp` or of an ablation ran in a copy that is gone. If no server
answered then, its files are still in git (refs/exps) and its models in DVC's cache: this lays them
out in a temporary folder, and mirrors that.
"""

import io
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import params as params_file
from pipeline.files import read_json
from pipeline.tracking import server, stamp
from pipeline.tracking.freshness import read_yaml
from pipeline.tracking.sync import sync, warn


@dataclass
class Copy:
    """Whose copy a folder is: the mirror's settings and place are those of the project."""

    name: str
    project: Path
    tracking: Any
    scanner: stamp.FileScanner


def sync_experiments(root):
    """Mirror every experiment; returns a text with a line for each."""
    root = Path(root).resolve()
    tracking = params_file.load(root / "params.yaml").tracking
    scanner = stamp.FileScanner(stamp.read_stamp(root))
    cache, lines = cache_folder(root), []
    for name, reference in experiments(root).items():
        copy = Copy(name, server.project_root(root), tracking, scanner)
        with tempfile.TemporaryDirectory(prefix="mirror-") as folder:
            lines.append(f"{name}: {mirror_one(root, reference, cache, Path(folder), copy)}")
    return "\n".join(lines) or "there are no experiments"


def mirror_one(root, reference, cache, folder, copy):
    try:
        lay_out(root, reference, cache, folder)
        return sync(folder, force=True, copy=copy).partition("\n")[0]
    except (ValueError, OSError) as error:  # such as a params.yaml of older code
        warn(f"experiment {copy.name} was left out: {error}")
        return "left out"


def experiments(root):
    """Name -> reference: refs/exps/<2 digits>/<38 digits>/<name>."""
    names = git(root, "for-each-ref", "--format=%(refname)", "refs/exps").decode().split()
    parted = [name.split("/") for name in names]
    return {parts[4]: "/".join(parts) for parts in parted if len(parts) == 5}


def cache_folder(root):
    command = [sys.executable, "-m", "dvc", "cache", "dir"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f"dvc cache dir: {' '.join(done.stderr.split())}")
    return root / done.stdout.strip() / "files" / "md5"


def git(root, *arguments):
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True)
    if done.returncode:
        text = " ".join(done.stderr.decode(errors="replace").split())
        raise ValueError(f"git {arguments[0]}: {text}")
    return done.stdout


def lay_out(root, reference, cache, folder):
    """What git has of the experiment, and links to what DVC's cache has of its outputs."""
    with tarfile.open(fileobj=io.BytesIO(git(root, "archive", reference))) as archive:
        archive.extractall(folder, filter="data")
    lock = folder / "dvc.lock"
    stages = read_yaml(lock)["stages"] if lock.is_file() else {}
    for stage in stages.values():
        for out in stage.get("outs", []):
            link_output(cache, out.get("md5", ""), folder / out["path"])


def link_output(cache, md5, target):
    """A file, or the files of a folder; not those of its folders, which are images and indexes."""
    source = cache / md5[:2] / md5[2:]
    if target.exists() or not (md5 and source.is_file()):
        return
    if not md5.endswith(".dir"):
        return link(source, target)
    for entry in read_json(source):
        source = cache / entry["md5"][:2] / entry["md5"][2:]
        if "/" not in entry["relpath"] and source.is_file():
            link(source, target / entry["relpath"])


def link(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(source)
