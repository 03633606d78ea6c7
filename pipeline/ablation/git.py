"""Questions to git about the project in the current folder, or another one."""

import subprocess
from pathlib import Path


def git(*arguments, folder=None) -> str:
    done = subprocess.run(("git", *arguments), cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f"git {arguments[0]}: {' '.join(done.stderr.split())}")
    return done.stdout


def tracks(path: Path) -> bool:
    """Whether git has the file, or a file of the folder."""
    inside = path.resolve().is_relative_to(Path.cwd())
    return inside and bool(git("ls-files", "--", str(path)))
