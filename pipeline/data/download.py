"""Download one large file: parallel ranges, resumed after a kill, checked before it is in place.

While it is under way its bytes are in ``<path>.part`` and a list of the finished ranges in
``<path>.part.json``. Where the server's file has changed in between (another ETag, date or size)
the download starts again. A server without ranges is read in one stream, which cannot be resumed.
"""

import json
import math
import os
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

from tqdm import tqdm

from pipeline.data.disk import naming_disk, require_space
from pipeline.data.remote import Changed, Remote, ask, receive
from pipeline.files import stream_digest, write_json

RANGE = 2**24  # bytes of one request: what a kill can cost each connection
RESTARTS = 3  # because the server's file changed


def fetch(
    url: str,
    path: str | Path,
    size: int | None = None,
    sha256: str | None = None,
    connections: int = 4,
    spare: int = 0,
) -> None:
    """Have the file of ``url`` at ``path``, of ``size`` bytes and this ``sha256`` where given.

    A file that is there is only checked. ``spare`` bytes must stay free on the disk afterwards.
    ``ValueError``: the server cannot be reached, has no such file or a wrong one, which is removed.
    ``OSError``: the disk is full. Whatever ends it, the next call goes on from there.
    """
    path = Path(path)
    if path.is_file():
        check_file(path, url, size, sha256)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = download(url, path, size, connections, spare)
    check_file(part.path, url, size, sha256)
    part.path.replace(path)
    part.record.unlink()


def download(url, path, size, connections, spare):
    """The complete ``Part``, not yet checked."""
    for _ in range(RESTARTS):
        remote = ask(url)
        if size is not None and remote.size not in (size, None):
            raise ValueError(f"{url} is a file of {remote.size:,} bytes instead of {size:,}")
        part = Part(path, remote)
        require_space(path.parent, part.missing + spare)
        try:
            with naming_disk(path.parent, part.missing + spare):
                part.fill(connections)
            return part
        except Changed:
            print(f"{url} changed on the server; the download starts again", flush=True)
    raise ValueError(f"{url} changes on the server again and again")


def check_file(path, url, size, sha256):
    """``ValueError``, and no file any more, where it is not the one that was wanted."""
    found = path.stat().st_size
    problem = None if size in (found, None) else f"is {found:,} bytes instead of {size:,}"
    if sha256 and not problem and (digest := shown_digest(path)) != sha256:
        problem = f"has the sha256 {digest} instead of {sha256}"
    if problem:
        path.unlink()
        raise ValueError(f"the file from {url} {problem}; it was removed")


def shown_digest(path):
    total = path.stat().st_size
    with (
        open(path, "rb") as file,
        tqdm.wrapattr(file, "read", total=total, desc=f"check {path.name}") as shown,
    ):
        return stream_digest(shown)


class Part:
    """The unfinished file and the record of its finished ranges, kept only for the same remote."""

    def __init__(self, path: Path, remote: Remote):
        self.path = path.with_name(f"{path.name}.part")
        self.record = path.with_name(f"{path.name}.part.json")
        self.remote = remote
        self.lock = threading.Lock()
        self.done = self.finished_before()

    def finished_before(self) -> set[int]:
        """Starts of the ranges that are on the disk."""
        try:
            known = json.loads(self.record.read_text(encoding="utf-8"))
            same = known["remote"] == asdict(self.remote) and known["range"] == RANGE
        except (OSError, ValueError, KeyError, TypeError):
            return set()
        return set(known["done"]) if same and self.remote.ranges and self.path.is_file() else set()

    def ranges(self) -> list[tuple[int, float]]:
        """All of them, as (start, end)."""
        if not self.remote.ranges:
            return [(0, math.inf if self.remote.size is None else self.remote.size)]
        size = self.remote.size
        return [(start, min(start + RANGE, size)) for start in range(0, size, RANGE)]

    @property
    def missing(self) -> int:
        """Bytes to come; 0 where the server does not say how many."""
        left = sum(end - start for start, end in self.ranges() if start not in self.done)
        return 0 if left == math.inf else left

    def fill(self, connections: int) -> None:
        """Fetch what is missing. ``Changed`` where that cannot be done from the same file."""
        todo = deque(r for r in self.ranges() if r[0] not in self.done)
        if not self.done:
            self.record.unlink(missing_ok=True)
        with (
            open(self.path, "r+b" if self.done else "wb") as file,
            self.progress() as bar,
            ThreadPoolExecutor(connections) as pool,
        ):
            file.truncate(self.remote.size or 0)
            stop = threading.Event()
            jobs = [
                pool.submit(self.work, file.fileno(), todo, bar, stop) for _ in range(connections)
            ]
            try:
                for job in as_completed(jobs):
                    job.result()
            finally:
                stop.set()

    def progress(self):
        start = self.remote.size - self.missing if self.remote.size else 0
        return tqdm(
            total=self.remote.size, initial=start, desc=self.path.stem, unit="B", unit_scale=True
        )

    def work(self, handle, todo, bar, stop):
        while not stop.is_set():
            try:
                start, end = todo.popleft()
            except IndexError:
                return
            expected = start
            for position, block in receive(self.remote, start, end, stop):
                write_at(handle, block, position)
                with self.lock:
                    bar.update(position + len(block) - expected)
                expected = position + len(block)
            if not stop.is_set():
                self.finish(handle, start)

    def finish(self, handle, start):
        os.fsync(handle)
        with self.lock:
            self.done.add(start)
            known = {"remote": asdict(self.remote), "range": RANGE, "done": sorted(self.done)}
            write_json(self.record, known)


def write_at(handle, block, position):
    while block:
        written = os.pwrite(handle, block, position)
        block, position = block[written:], position + written
