"""A new SQLite file, whole or not at all; and its address, whatever the folder's name."""

import functools
import os
import re
from pathlib import Path

from pipeline.tracking import server


def create(uri: str, artifacts: str) -> None:
    """Make the database file of a resolved SQLite ``uri``, if it is not there.

    MLflow makes its tables one by one for seconds, and a process that is killed meanwhile leaves a
    file that no later one can use. To be called under the mirror's lock.
    """
    path = server.database_file(uri)
    if path is None or path.is_file():
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    new = path.with_name(f"{path.name}.new")
    for left in path.parent.glob(f"{new.name}*"):  # its journal, too
        left.unlink()
    new.touch()  # with the user's umask: SQLite's own files nobody else may write
    SqlAlchemyStore(f"{server.SQLITE}{seen_by_mlflow(new)}", artifacts).engine.dispose()
    new.replace(path)


def address(uri: str) -> str:
    """A resolved ``uri`` as MLflow is to be given it."""
    path = server.database_file(uri)
    _, mark, query = uri.partition("?")
    return f"{server.SQLITE}{seen_by_mlflow(path)}{mark}{query}" if path else uri


def seen_by_mlflow(path: Path) -> Path:
    """Of a folder whose name has ?, # or %, which MLflow and SQLAlchemy read now as signs of a URL
    and now as they are, another name: that of an open descriptor."""
    odd = re.search("[%?#]", str(path.parent))
    return Path("/proc/self/fd", str(opened(path.parent)), path.name) if odd else path


@functools.cache
def opened(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
