"""Which code runs here: the commit, and whether the code has been changed since."""

import subprocess

CODE = ("pipeline", "stages", "configs/detectors", "dvc.yaml")  # what an edit of params is not


def commit(folder=".") -> str | None:
    """None outside of a repository, or where it has no commit."""
    return ask(folder, "rev-parse", "--verify", "-q", "HEAD") or None


def is_dirty(folder=".") -> bool | None:
    """Whether a file of the code that git knows differs from the commit; None without one."""
    if commit(folder) is None:
        return None
    return bool(ask(folder, "status", "--porcelain", "--untracked-files=no", "--", *CODE))


def ask(folder, *arguments):
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
