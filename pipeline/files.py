"""Writing that a kill cannot leave half done: a temporary name beside the target, then a rename."""

import contextlib
import fcntl
import glob
import hashlib
import json
import os
import secrets
import shutil
from pathlib import Path


@contextlib.contextmanager
def atomic_path(path):
    """Give a temporary file name; on success it becomes ``path``, on an error it is removed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path, path.suffix)
    temporary = temporary_name(path, path.suffix)
    # not tempfile's functions, which let nobody else read: the user's umask decides
    handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        try_lock(handle)
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
        os.close(handle)


@contextlib.contextmanager
def atomic_folder(path):
    """Give a new temporary folder; on success it replaces ``path``, on an error it is removed."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path)
    temporary = temporary_name(path)
    temporary.mkdir()
    handle = os.open(temporary, os.O_RDONLY)
    try:
        try_lock(handle)
        yield temporary
        shutil.rmtree(path, ignore_errors=True)
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        os.close(handle)


def temporary_name(path, suffix=""):
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}{suffix}")


def remove_leftovers(path, suffix=""):
    """Remove what killed writers of ``path`` left beside it; a living one holds its lock.

    DVC would take a leftover in ``models/`` for a part of what a later stage depends on.
    """
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.{'?' * 8}{glob.escape(suffix)}"):
        # a living writer has just finished, or it is another user's
        with contextlib.suppress(FileNotFoundError, PermissionError):
            remove_unless_locked(leftover)


def remove_unless_locked(path):
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        if not try_lock(handle):
            return
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    finally:
        os.close(handle)


def try_lock(handle) -> bool:
    """False where another process holds the lock, or the file system has none."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextlib.contextmanager
def locked(folder):
    """Hold the folder; a second process that wants it waits. The kernel frees it on any death."""
    folder = Path(folder)
    with contextlib.ExitStack() as held:
        while not (lock := take_lock(folder, held)):
            print(f"waiting: another process works in {folder}", flush=True)
            with contextlib.suppress(FileNotFoundError), open(folder / "lock") as busy:
                fcntl.flock(busy, fcntl.LOCK_EX)
        yield lock


def take_lock(folder, held):
    """The lock file, held until ``held`` ends; None where another process holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = held.enter_context(open(folder / "lock", "w"))  # noqa: SIM115
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    try:
        same = os.fstat(lock.fileno()).st_ino == (folder / "lock").stat().st_ino
    except FileNotFoundError:
        same = False
    # the folder was removed, perhaps made anew, between opening and locking
    return lock if same else take_lock(folder, held)


def write_text(path, text):
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path, value):
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def read_json(path, object_pairs_hook=None):
    """The parsed file; ``ValueError`` that names it where it is missing or not valid JSON.

    A byte order mark, which editors on Windows write, is skipped. ``object_pairs_hook`` is that
    of ``json.load``.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            return json.load(file, object_pairs_hook=object_pairs_hook, parse_int=whole_number)
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist") from None
    except UnicodeDecodeError as error:
        text = f"{path} is not in UTF-8 (at byte {error.start:,}); save it in UTF-8"
        raise ValueError(text) from None
    except RecursionError:
        raise ValueError(f"{path} is nested too deeply to be read; is it the right file?") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not valid JSON (truncated?): {error}") from None
    except ValueError as error:  # of the hook
        raise ValueError(f"{path}: {error}") from None


def whole_number(digits):
    """Infinity where Python would refuse the whole file for the length of one number."""
    return int(digits) if len(digits) < 1000 else float(digits)


def file_digest(path) -> str:
    """The file's sha256, read in pieces."""
    with open(path, "rb") as file:
        return stream_digest(file)


def stream_digest(file) -> str:
    """The sha256 of what is left to read in an open binary file."""
    digest = hashlib.sha256()
    while piece := file.read(2**20):
        digest.update(piece)
    return digest.hexdigest()
