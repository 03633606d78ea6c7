"""Where DVC keeps an output, by its md5."""

import subprocess
import sys
from pathlib import Path


def cache_folder(root: Path) -> Path:
    command = [sys.executable, "-m", "dvc", "cache", "dir"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if done.returncode:
        raise ValueError(f"dvc cache dir: {' '.join(done.stderr.split())}")
    return root / done.stdout.strip() / "files" / "md5"


def cached(cache: Path, md5: str) -> Path:
    return cache / md5[:2] / md5[2:]
