"""Questions to git about the project in the current folder, or another one."""

import os
import subprocess
from pathlib import Path

NONE = (
    "this folder is in no git repository, which this needs: clone the project instead of "
    "downloading an archive, or run `git init && git add --all && git commit --message start`"
)


def git(*arguments, folder=None) -> str:
    """What git prints; ``ValueError`` with what it says where it fails, or is not there."""
    try:
        done = subprocess.run(
            ("git", *arguments),
            cwd=folder,
            env={**os.environ, "LC_ALL": "C"},  # its messages in English
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",  # names of files are bytes
        )
    except FileNotFoundError:
        raise ValueError("git is not installed, or not on the PATH; this needs it") from None
    if done.returncode:
        said = " ".join(done.stderr.split())
        raise ValueError(NONE if "not a git repository" in said else f"git {arguments[0]}: {said}")
    return done.stdout


def tracks(path: Path) -> bool:
    """Whether git has the file, or a file of the folder."""
    inside = path.resolve().is_relative_to(Path.cwd())
    return inside and bool(git("ls-files", "--", str(path)))
