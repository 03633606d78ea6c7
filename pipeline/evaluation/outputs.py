"""Whether the files to write can be written, known before an evaluation of many minutes."""

import os
import tempfile
from pathlib import Path


def check_outputs(inputs: dict[str, str], outputs: dict[str, str | None]) -> None:
    """``ValueError`` that names the option of the first output that cannot be written.

    Keys are the options of the command line; an output that is None is not asked for.
    """
    taken = {real(path): option for option, path in inputs.items()}
    for option, written in outputs.items():
        if written is None:
            continue
        path = real(written)
        if path in taken:
            other = taken[path]
            raise ValueError(f"{option} is {written}, which is {other} too; name another file")
        taken[path] = option
        check_place(option, written, path)


def real(path: str) -> Path:
    """Unlike ``Path.resolve`` also of a link that leads to itself."""
    return Path(os.path.realpath(path))


def check_place(option, written, path):
    if path.is_dir():
        raise ValueError(f"{option} is {written}, which is a folder; name a file in it")
    folder = next(place for place in path.parents if place.exists())
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ValueError(
            f"{option} is {written}, but nothing can be written into {folder}: {error.strerror}"
        ) from None
