"""What all command lines share: whose code runs, where they print, and how they end."""

import contextlib
import importlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.failures import explain
from pipeline.masking import mask_output

PACKAGES = ("pipeline", "stages")


def run(main: Callable[[], int | None], anywhere: bool = False) -> None:
    """Run ``main()`` and end the process with what it returns, or 1 after a user's mistake.

    ``anywhere``: the command asks nothing about the project in the current folder.
    """
    prepare_terminal()
    with one_line():
        if not anywhere:
            check_own_code()
        sys.exit(main())


@contextlib.contextmanager
def one_line() -> Iterator[None]:
    """Inside, an error that the user can mend ends the process with one line and code 1; anything
    else is our own bug and keeps its traceback."""
    try:
        yield
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        text = explain(error)
        if text is None:
            raise
        print(f"error: {text}", file=sys.stderr)
        sys.exit(1)


def check_own_code(folder: Path | None = None) -> None:
    """``ValueError`` where ``folder`` (the current one) is a checkout of the project, and another
    one's code runs: by PYTHONSAFEPATH or `python -P` an installed one comes first.

    DVC and the run folders would note the code of this one for what the other one computes.
    """
    folder = Path(folder or Path.cwd()).resolve()
    for name in PACKAGES:
        here = folder / name / "__init__.py"
        if not here.is_file():
            continue
        runs = Path(importlib.import_module(name).__file__)
        if not here.samefile(runs):
            raise ValueError(
                f"this is {folder}, but the code that runs is {runs.parents[1]}'s; unset "
                "PYTHONSAFEPATH and PYTHONPATH, and leave out `python -P`"
            )


def prepare_terminal() -> None:
    """From now on printing never fails, and shows no credentials: a character that the terminal
    does not have is replaced, and what nobody reads any more (`| head -1`) is dropped while the
    work goes on."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is getattr(sys, f"__{name}__") and isinstance(stream, io.TextIOWrapper):
            setattr(sys, name, lasting(stream))
    mask_output()


def lasting(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(Pipe(stream.fileno(), "wb", closefd=False)),
        encoding=stream.encoding,
        errors="replace" if stream.errors in ("strict", "surrogateescape") else stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


class Pipe(io.FileIO):
    """A file descriptor that becomes the null device when its reader is gone."""

    def write(self, data):
        try:
            return super().write(data)
        except BrokenPipeError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.fileno())
            os.close(null)
            return super().write(data)
