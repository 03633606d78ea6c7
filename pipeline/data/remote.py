"""A file on an HTTP server, read in ranges, with patience for a network that fails."""

import contextlib
import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException
from itertools import count
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

BLOCK = 2**18
TIMEOUT = 30  # seconds without a byte
TRIES = 5  # in a row without a byte
FIRST_WAIT = 1.0  # seconds; doubles with every try
TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)


class Interrupted(Exception):
    """The network failed; worth another try."""


class Changed(Exception):
    """The server does not serve the file any more that the download began with."""


@dataclass(frozen=True)
class Remote:
    """What the server says of the file; ``version`` is its ETag and its date."""

    url: str
    size: int | None
    version: str
    ranges: bool


def ask(url: str) -> Remote:
    """Ask for the first byte: unlike HEAD, that also tells whether ranges work.

    ``ValueError`` where the server refuses or cannot be reached.
    """
    for failures in count(1):
        try:
            with answer(url, 0, 1) as response:
                return describe(url, response)
        except Interrupted as error:
            pause(url, error, failures, threading.Event())


def describe(url, response) -> Remote:
    headers = response.headers
    ranges = response.status == 206
    size = headers.get("Content-Range", "").rpartition("/")[2] if ranges else None
    size = size if ranges else headers.get("Content-Length")
    size = int(size) if size and size.isdigit() else None
    version = f"{headers.get('ETag', '')} {headers.get('Last-Modified', '')}".strip()
    return Remote(url, size, version, ranges and size is not None)


def receive(remote: Remote, start: int, end: float, stop) -> Iterator[tuple[int, bytes]]:
    """(position, bytes) of the range [start, end), in order; goes on where the network failed.

    Without ranges it goes on from ``start``. ``end`` is ``math.inf`` where the size is unknown.
    Ends early when the event ``stop`` is set. ``Changed`` where the server has another file now;
    ``ValueError`` after ``TRIES`` failures in a row.
    """
    position, failures = start, 0
    while position < end and not stop.is_set():
        before = position
        try:
            for block in blocks(remote, position, end):
                block = block[: end - position] if end < math.inf else block
                yield position, block
                position += len(block)
                if stop.is_set():
                    return
            if end == math.inf:
                return
            if position < end:
                raise Interrupted("the connection was cut")
        except Interrupted as error:
            failures = 1 if remote.ranges and position > before else failures + 1
            pause(remote.url, error, failures, stop)
            position = position if remote.ranges else start


def blocks(remote, position, end):
    span = (position, end) if remote.ranges else ()
    with answer(remote.url, *span) as response:
        found = describe(remote.url, response)
        if found.version != remote.version or (remote.ranges and found != remote):
            raise Changed
        while block := response.read(BLOCK):
            yield block


@contextlib.contextmanager
def answer(url, *span):
    """The open response to a request of the whole file or of the bytes [start, end)."""
    headers = {"User-Agent": "bacl-pipeline"}
    if span:
        headers["Range"] = f"bytes={span[0]}-{span[1] - 1}"
    try:
        with urlopen(Request(url, headers=headers), timeout=TIMEOUT) as response:
            yield response
    except HTTPError as error:
        text = f"the server answers {error.code} {error.reason}"
        if error.code in TRY_AGAIN:
            raise Interrupted(text) from None
        raise ValueError(f"{url}: {text}") from None
    except (OSError, HTTPException) as error:
        reason = error.reason if isinstance(error, URLError) else error
        raise Interrupted(f"{type(reason).__name__}: {reason}") from None


def pause(url, error, failures, stop):
    """Wait before the next try; ``ValueError`` where this was the last."""
    if failures >= TRIES:
        raise ValueError(f"{url} cannot be read ({error}); a new run goes on from here")
    wait = FIRST_WAIT * 2 ** (failures - 1)
    print(f"{url}: {error}; the next try is in {wait:g} s", flush=True)
    stop.wait(wait)
