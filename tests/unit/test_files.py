"""Writing that a kill cannot leave half done."""

import os
import signal
import subprocess
import sys

import pytest

from pipeline.files import atomic_folder, atomic_path, locked, write_json, write_text

WRITER = """
import sys
from pathlib import Path
from pipeline import files
with getattr(files, sys.argv[1])(sys.argv[2]) as temporary:
    target = temporary if temporary.is_file() else temporary / "part"
    target.write_text("half")
    print("writing", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def writer(root):
    """Starts a process that is in the middle of writing a path."""
    started = []

    def start(kind, path):
        command = [sys.executable, "-c", WRITER, kind, str(path)]
        pipe = subprocess.PIPE
        process = subprocess.Popen(command, cwd=root, stdin=pipe, stdout=pipe, text=True)
        assert process.stdout.readline() == "writing\n"
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("kind", ["atomic_path", "atomic_folder"])
def test_the_next_writer_removes_what_a_killed_one_left(kind, writer, tmp_path):
    killed = writer(kind, tmp_path / "model.pth")
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert len(names(tmp_path)) == 1
    again = writer(kind, tmp_path / "model.pth")
    again.communicate("")
    assert names(tmp_path) == ["model.pth"]


@pytest.mark.parametrize("kind", ["atomic_path", "atomic_folder"])
def test_a_second_writer_leaves_a_living_one_alone(kind, writer, tmp_path):
    first, second = (writer(kind, tmp_path / "model.pth") for _ in range(2))
    assert len(names(tmp_path)) == 2
    for process in (first, second):
        process.communicate("")
        assert process.returncode == 0
    assert names(tmp_path) == ["model.pth"]


def write_and_fail(write, path):
    with write(path):
        raise RuntimeError


def test_an_error_leaves_the_old_content_and_nothing_else(tmp_path):
    write_text(tmp_path / "a.json", "old")
    for write, name in ((atomic_path, "a.json"), (atomic_folder, "b")):
        with pytest.raises(RuntimeError):
            write_and_fail(write, tmp_path / name)
    assert (tmp_path / "a.json").read_text() == "old"
    assert names(tmp_path) == ["a.json"]


@pytest.fixture(params=[0o002, 0o022, 0o077])
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def test_files_and_folders_get_what_the_umask_says(umask, tmp_path):
    """A group that shares a folder writes in it, and what is private stays so."""
    place = tmp_path / "models"
    write_json(place / "a.json", {})
    write_json(place / "a.json", {"again": True})
    with atomic_path(place / "b.pth") as temporary:
        temporary.write_bytes(b"weights")
    with atomic_folder(place / "folder") as temporary:
        (temporary / "part").touch()
    with locked(place / "run"):
        pass
    for path in (place, *place.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o777 if path.is_dir() else 0o666) & ~umask, path


def test_another_users_leftover_is_left_to_them(tmp_path):
    leftover = tmp_path / ".a.json.12345678.json"
    leftover.mkdir(mode=0)
    write_text(tmp_path / "a.json", "new")
    assert (tmp_path / "a.json").read_text() == "new"
