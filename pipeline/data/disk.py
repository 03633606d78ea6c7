"""A full disk is foreseen, and where it is not, the error names the folder and what is needed."""

import contextlib
import errno
import shutil
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def require_space(folder: str | Path, needed: int) -> None:
    """``OSError`` where fewer than ``needed`` bytes are free in the existing ``folder``."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(
            errno.ENOSPC, f"{folder} has {gigabytes(free)} free and needs {gigabytes(needed)} more"
        )


@contextlib.contextmanager
def naming_disk(folder: str | Path, needed: int):
    """An ``OSError`` of a full disk or quota tells of ``folder`` and the ``needed`` bytes."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        text = f"{folder} is full ({error.strerror}); it needs {gigabytes(needed)} more"
        raise OSError(error.errno, text) from None


def gigabytes(count) -> str:
    """Such as "20.2 GB (20,152,447,128 bytes)"."""
    return f"{count / 1e9:.1f} GB ({count:,} bytes)"
