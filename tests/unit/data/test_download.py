"""Downloads from a real server that fails in every way, and archives that must not be trusted."""

import hashlib
import json
import shutil
import signal
import stat
import subprocess
import sys
import time
import zipfile

import file_server
import numpy as np
import pytest

from pipeline.data import download, remote
from pipeline.data.archive import unpack
from pipeline.data.download import fetch

CONTENT = np.random.default_rng(0).bytes(1_000_003)
SHA256 = hashlib.sha256(CONTENT).hexdigest()
RANGE = 2**17
ADDRESS_OF_NOBODY = "http://127.0.0.1:9/file.zip"


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(download, "RANGE", RANGE)
    monkeypatch.setattr(remote, "FIRST_WAIT", 0.01)
    with file_server.running() as running:
        yield running


@pytest.fixture
def url(server):
    return server.put("file.zip", CONTENT)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "deep" / "file.zip"


def complete(path):
    """The file is right, and nothing is left beside it."""
    return path.read_bytes() == CONTENT and list(path.parent.iterdir()) == [path]


def asked_bytes(server):
    spans = [span.removeprefix("bytes=").split("-") for _, span in server.asked if span]
    return sum(int(last) - int(first) + 1 for first, last in spans)


@pytest.mark.parametrize("connections", [1, 4])
def test_parallel_ranges_make_the_file(server, url, path, connections, capsys):
    fetch(url, path, len(CONTENT), SHA256, connections)
    assert complete(path)
    assert asked_bytes(server) == len(CONTENT) + 1  # one byte to ask what there is
    assert len(server.asked) == 1 + -(-len(CONTENT) // RANGE)
    assert "file.zip: 100%" in capsys.readouterr().err


def test_a_server_without_ranges_is_read_in_one_stream(server, url, path):
    server.ranges = False
    fetch(url, path, len(CONTENT), SHA256)
    assert complete(path)
    server.tells_size = False
    fetch(url, path.with_name("again"))
    assert path.with_name("again").read_bytes() == CONTENT


def test_a_file_that_is_there_is_checked_and_not_asked_for(server, url, path):
    fetch(url, path, len(CONTENT), SHA256)
    server.asked.clear()
    fetch(url, path, len(CONTENT), SHA256)
    assert server.asked == [] and complete(path)
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(ValueError, match="is 1,000,002 bytes instead of 1,000,003; it was removed"):
        fetch(url, path, len(CONTENT), SHA256)
    assert not path.exists()


@pytest.mark.parametrize("ranges", [True, False])
def test_cut_connections_go_on(server, url, path, ranges, capsys):
    server.ranges, server.cut_after, server.cuts = ranges, 300_000, 3
    fetch(url, path, len(CONTENT), SHA256)
    assert complete(path) and server.cuts == 0
    assert "the connection was cut; the next try is in" in capsys.readouterr().out
    if ranges:  # goes on where it was cut
        assert len(CONTENT) < asked_bytes(server) < len(CONTENT) + 4 * RANGE


def test_a_server_that_only_cuts_ends_in_one_line(server, url, path):
    server.cut_after, server.cuts = 0, 10**6
    with pytest.raises(ValueError, match=r"cannot be read \(.*\); a new run goes on from here"):
        fetch(url, path, connections=1)
    assert len(server.asked) == 1 + remote.TRIES


def test_a_busy_server_is_asked_again(server, url, path):
    server.refusals = [503, 429, 500]
    fetch(url, path, len(CONTENT), SHA256)
    assert complete(path)


def test_404_is_one_line_at_once(server, url, path):
    with pytest.raises(ValueError, match=r"/none\.zip: the server answers 404"):
        fetch(url.replace("file.zip", "none.zip"), path)
    assert len(server.asked) == 1


def test_no_network_is_one_line(server, path):
    with pytest.raises(ValueError, match=r"file\.zip cannot be read \(ConnectionRefusedError"):
        fetch(ADDRESS_OF_NOBODY, path)


def test_corrupted_bytes_are_removed_and_named(server, path):
    url = server.put("file.zip", CONTENT[:-1] + b"?")
    with pytest.raises(ValueError, match=f"instead of {SHA256}; it was removed"):
        fetch(url, path, len(CONTENT), SHA256)
    server.put("file.zip", CONTENT)
    fetch(url, path, len(CONTENT), SHA256)
    assert complete(path)


def test_another_size_is_refused_before_the_download(server, url, path):
    with pytest.raises(ValueError, match="is a file of 1,000,003 bytes instead of 5"):
        fetch(url, path, 5, SHA256)
    assert asked_bytes(server) == 1


def test_a_changed_file_starts_again(server, url, path, tmp_path):
    partly(server, url, path)
    server.etag = '"two"'
    server.files["/file.zip"] = CONTENT[::-1]
    fetch(url, path)
    assert path.read_bytes() == CONTENT[::-1]


def test_a_file_that_changes_during_the_download_starts_again(server, url, path, capsys):
    class Turncoat(dict):
        """Another file from the fourth request on."""

        def __getitem__(self, key):
            if len(server.asked) < 4:
                return CONTENT
            server.etag = '"two"'
            return CONTENT[::-1]

    server.files = Turncoat(server.files)
    fetch(url, path, connections=1)
    assert path.read_bytes() == CONTENT[::-1]
    assert "changed on the server; the download starts again" in capsys.readouterr().out


def partly(server, url, path):
    """Leave an unfinished download behind; returns its finished ranges."""
    server.cut_after, server.cuts, server.then_refuse = 500_000, 1, 403
    with pytest.raises(ValueError, match="403"):
        fetch(url, path, connections=1)
    server.refusals = []
    done = json.loads(path.with_name("file.zip.part.json").read_text())["done"]
    assert len(done) >= 2
    return done


def test_the_next_call_fetches_only_what_is_missing(server, url, path):
    done = partly(server, url, path)
    server.asked.clear()
    fetch(url, path, len(CONTENT), SHA256)
    assert complete(path)
    assert asked_bytes(server) == len(CONTENT) + 1 - len(done) * RANGE


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"remote": 3}', '{"done": [0]}'])
def test_a_damaged_record_starts_again(server, url, path, damage):
    partly(server, url, path)
    path.with_name("file.zip.part.json").write_text(damage)
    fetch(url, path, len(CONTENT), SHA256)
    assert complete(path)


CHILD = """
import resource, sys
from pipeline.data import download
url, path, limit, ranges = sys.argv[1:]
download.RANGE = int(ranges)
if int(limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
try:
    download.fetch(url, path, connections=2)
except OSError as error:
    sys.exit(f"OSError {error}")
"""


def child(url, path, limit=0, **options):
    command = [sys.executable, "-c", CHILD, url, str(path), str(limit), str(RANGE)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options)


def test_a_killed_download_goes_on(server, url, path):
    record = path.with_name("file.zip.part.json")
    server.hold_after = 600_000
    process = child(url, path)
    deadline = time.monotonic() + 60
    while not record.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not path.exists()
    done = len(json.loads(record.read_text())["done"])
    server.hold_after = None
    server.gate.set()
    server.asked.clear()
    fetch(url, path, len(CONTENT), SHA256)
    assert path.read_bytes() == CONTENT
    server.asked[:] = set(server.asked)  # a question of the killed one may arrive late
    assert asked_bytes(server) == len(CONTENT) + 1 - done * RANGE < len(CONTENT)


def test_a_full_disk_is_foreseen(server, url, path):
    free = shutil.disk_usage(path.parent.parent).free
    with pytest.raises(OSError, match=rf"{path.parent} has .* free and needs .*more"):
        fetch(url, path, spare=2 * free)
    assert asked_bytes(server) == 1


@pytest.mark.parametrize("tells_size", [True, False])
def test_a_file_that_outgrows_its_limit_names_folder_and_bytes(server, url, path, tells_size):
    server.ranges = server.tells_size = tells_size
    process = child(url, path, limit=600_000)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"OSError [Errno 27] {path.parent} is full (File too large); it needs" in errors
    fetch(url, path, len(CONTENT), SHA256)
    assert complete(path)


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("a small disk is a tmpfs, which only root may mount")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_really_full_disk(server, url, small_disk):
    with pytest.raises(OSError, match=r"has .* free and needs"):
        fetch(url, small_disk / "file.zip")
    server.ranges = server.tells_size = False  # it cannot be foreseen
    with pytest.raises(OSError, match=r"is full .No space left on device.; it needs") as caught:
        fetch(url, small_disk / "file.zip")
    assert str(small_disk) in str(caught.value)


def test_unpacking_on_a_full_disk(small_disk, tmp_path):
    archive = tmp_path / "photos.zip"
    write_zip(archive, {"photos/a": CONTENT})
    with pytest.raises(OSError, match=r"small has .* free and needs 0.0 GB .1,000,003 bytes. more"):
        unpack(archive, small_disk / "photos")
    assert archive.exists() and not (small_disk / "photos").exists()


def write_zip(path, members):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def test_a_folder_is_unpacked_and_its_archive_removed(tmp_path, capsys):
    archive, target = tmp_path / "photos.zip", tmp_path / "root/photos"
    write_zip(archive, {"readme": "no", "photos/a.jpg": "A", "photos/deep/☃.jpg": "S"})
    unpack(archive, target)
    files = {str(p.relative_to(target)): p.read_text() for p in target.rglob("*") if p.is_file()}
    assert files == {"a.jpg": "A", "deep/☃.jpg": "S"}
    assert not archive.exists() and list(target.parent.iterdir()) == [target]
    assert "its archive photos.zip was removed" in capsys.readouterr().out


def test_a_single_file_is_unpacked_from_any_depth(tmp_path):
    archive = tmp_path / "a.zip"
    write_zip(archive, {"__MACOSX/lvis.json": "no", "lvis/lvis.json": "{}"})
    unpack(archive, tmp_path / "annotations/lvis.json")
    assert (tmp_path / "annotations/lvis.json").read_text() == "{}"


@pytest.mark.parametrize("name", ["../evil", "photos/../../evil", "/evil", "photos/..", "//evil"])
def test_an_archive_that_writes_outside_is_refused_whole(tmp_path, name):
    archive = tmp_path / "in/photos.zip"
    archive.parent.mkdir()
    write_zip(archive, {"photos/a.jpg": "A", name: "evil"})
    with pytest.raises(ValueError, match="could write outside of its folder"):
        unpack(archive, tmp_path / "in/photos")
    assert [p.name for p in tmp_path.rglob("*")] == ["in", "photos.zip"]


def test_a_link_in_an_archive_is_refused(tmp_path):
    link = zipfile.ZipInfo("photos/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    write_zip(tmp_path / "photos.zip", {"photos/a.jpg": "A", link: str(tmp_path)})
    with pytest.raises(ValueError, match="'photos/link', which could write outside"):
        unpack(tmp_path / "photos.zip", tmp_path / "photos")
    assert not (tmp_path / "photos").exists()


def test_unpacking_goes_on_where_it_was_killed(tmp_path):
    archive, partly = tmp_path / "photos.zip", tmp_path / ".photos.part"
    write_zip(archive, {"photos/a.jpg": "AAAA", "photos/b.jpg": "BBBB", "photos/c.jpg": "CCCC"})
    partly.mkdir()
    (partly / "a.jpg").write_text("kept")  # whole: not written again
    (partly / "b.jpg").write_text("BB")  # cut off
    unpack(archive, tmp_path / "photos")
    found = {p.name: p.read_text() for p in (tmp_path / "photos").iterdir()}
    assert found == {"a.jpg": "kept", "b.jpg": "BBBB", "c.jpg": "CCCC"}


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-30],
        lambda content: content.replace(b"AAAA", b"AAAB", 1),
        lambda content: b"<html>Sign in</html>",
    ],
)
def test_a_damaged_archive_is_removed(tmp_path, damage):
    archive = tmp_path / "photos.zip"
    write_zip(archive, {"photos/a.jpg": "AAAA"})
    archive.write_bytes(damage(archive.read_bytes()))
    with pytest.raises(ValueError, match=r"photos\.zip is damaged .*it was removed"):
        unpack(archive, tmp_path / "photos")
    assert not archive.exists() and not (tmp_path / "photos").exists()
    write_zip(archive, {"photos/a.jpg": "AAAA"})
    unpack(archive, tmp_path / "photos")
    assert (tmp_path / "photos/a.jpg").read_text() == "AAAA"


def test_an_archive_of_something_else(tmp_path):
    write_zip(tmp_path / "a.zip", {"other/a.jpg": "A"})
    with pytest.raises(ValueError, match=r"a\.zip has no photos in it"):
        unpack(tmp_path / "a.zip", tmp_path / "photos")
