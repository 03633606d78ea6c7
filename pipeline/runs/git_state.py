"""What git knows of the code that runs here, and whether DVC can make experiments of it."""

import os
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlsplit

CODE = ("pipeline", "stages", "configs/detectors", "dvc.yaml")  # what an edit of params is not


def commit(folder=".") -> str | None:
    """None outside of a repository, or where it has no commit."""
    return ask(folder, "rev-parse", "--verify", "-q", "HEAD") or None


def is_dirty(folder=".") -> bool | None:
    """Whether a file of the code that git knows differs from the commit; None without one."""
    if commit(folder) is None:
        return None
    return bool(ask(folder, "status", "--porcelain", "--untracked-files=no", "--", *CODE))


def check_experiment() -> None:
    """``ValueError`` in a copy that DVC has made for an experiment, where it would be lost."""
    project = Path(os.environ.get("DVC_ROOT", ".")).resolve()
    if "DVC_EXP_BASELINE_REV" in os.environ and project != Path.cwd().resolve():
        check_copies(project)


def check_copies(project: Path) -> None:
    """``ValueError`` where DVC would run all stages in a copy of ``project``, and then could not
    fetch the experiment from there; those in the folder itself, and `dvc repro`, do work."""
    if ask(project, "rev-parse", "--is-shallow-repository") == "true":
        raise ValueError(
            f"{project} is a shallow clone, in which DVC loses experiments that run in copies of "
            "it; run `git fetch --unshallow` first"
        )
    path = str(project.resolve())
    if not path.isascii() or unquote(urlsplit(f"file://{path}").path) != path:
        raise ValueError(
            f"{path}: DVC cannot make copies of the project for experiments in a folder of this "
            "name; move it to a path of ASCII letters and digits (`dvc repro` works here too)"
        )


def ask(folder, *arguments):
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
