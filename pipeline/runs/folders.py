"""The finished runs of a project's folder: its workspace, and its DVC experiments."""

import fnmatch
import functools
import json
import subprocess
import sys
from pathlib import Path

from pipeline.runs.digests import scan_file
from pipeline.runs.experiments import finished
from pipeline.runs.finished import Finished, read_finished
from pipeline.runs.git import git

WORKSPACE = "workspace"


def runs_of(folder: Path, patterns=()) -> list[Finished]:
    """The workspace, then the experiments, the newest first; those that no pattern matches are
    left out, those that cannot be read with a warning. ``ValueError`` where a pattern has none."""
    found = {WORKSPACE: None, **experiments(folder)}
    unknown = [pattern for pattern in patterns if not fnmatch.filter(found, pattern)]
    if unknown:
        raise ValueError(
            f"no experiment of {folder.resolve().name} is called {unknown[0]}; "
            f"there are: {', '.join(found)}"
        )
    names = [name for name in found if not patterns or any(map(matches(name), patterns))]
    runs = [read_or_warn(folder, name, found[name]) for name in names]
    return [run for run in runs if run and run.results]


def matches(name):
    return lambda pattern: fnmatch.fnmatchcase(name, pattern)


def experiments(folder: Path) -> dict[str, str]:
    """Name -> git reference, the newest first; {} in a folder that is no git repository."""
    try:
        return dict(reversed(finished(folder).items()))
    except (ValueError, OSError):
        return {}


def read_or_warn(folder, name, reference) -> Finished | None:
    try:
        if reference:
            return read_experiment(folder, name, reference)
        return read_workspace(folder) if (folder / "params.yaml").is_file() else None
    except ValueError as error:
        print(f"warning: {name} is left out: {error}", file=sys.stderr)
        return None


def read_experiment(folder, name, reference) -> Finished:
    commit = git("rev-parse", "--short", reference, folder=folder).strip()
    read = functools.partial(read_commit, folder, reference)
    digests = functools.partial(data_digests, folder)
    return read_finished(read, name, f"DVC experiment, commit {commit}", digests)


def read_commit(folder, reference, *paths) -> dict[str, bytes | None]:
    """The files of a commit, by one process for all of them."""
    asked = "".join(f"{reference}:./{path}\n" for path in paths).encode()
    command = ("git", "cat-file", "--batch")
    out = subprocess.run(command, cwd=folder, input=asked, capture_output=True, check=True).stdout
    files = {}
    for path in paths:
        header, _, out = out.partition(b"\n")
        if header.endswith(b" missing"):
            files[path] = None
        else:
            size = int(header.split()[-1])
            files[path], out = out[:size], out[size + 1 :]
    return files


def read_workspace(folder) -> Finished:
    def read(*paths):
        files = {path: folder / path for path in paths}
        return {p: file.read_bytes() if file.is_file() else None for p, file in files.items()}

    def digests(params, locked):
        return data_digests(folder, params, locked) or file_digests(folder / "data", params)

    here = "this folder" if folder.resolve() == Path.cwd() else str(folder)
    return read_finished(read, WORKSPACE, f"{here}{head(folder)}", digests)


def head(folder) -> str:
    try:
        return f", on commit {git('rev-parse', '--short', 'HEAD', folder=folder).strip()}"
    except (ValueError, OSError):
        return ""


def data_digests(folder, params, locked) -> dict[str, str]:
    """What dvc.lock says of data/<name>, and DVC's cache, where it has it, of the files in it."""
    name = f"data/{params.data.name}"
    outs = {out["path"]: out.get("md5", "") for out in locked.get("prepare", {}).get("outs", [])}
    digest = outs.get(name, "")
    listing = folder / ".dvc" / "cache" / "files" / "md5" / digest[:2] / digest[2:]
    if not digest:
        return {}
    listed = json.loads(listing.read_bytes()) if listing.is_file() else []
    files = {entry["relpath"]: entry["md5"] for entry in listed}
    return {"folder": digest} | annotations(lambda file: files.get(file))


def file_digests(data, params) -> dict[str, str]:
    def digest(name):
        path = data / params.data.name / name
        return scan_file(path).digest if path.is_file() else None

    return annotations(digest)


def annotations(digest_of) -> dict[str, str]:
    digests = {split: digest_of(f"{split}.json") for split in ("train", "val")}
    return digests if all(digests.values()) else {}
