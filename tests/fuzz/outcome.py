"""How a damaged input ended, found out in a process that may crash, hang or eat its memory."""

import multiprocessing
import re
import resource
import traceback
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

REFUSED, RIGHT = "refused", "right"
SILENT, LATE, TRACEBACK = "silently wrong", "late", "traceback"
UNCLEAR, HALF_WRITTEN = "unclear", "half-written"
GOOD = (REFUSED, RIGHT)
KINDS = (*GOOD, SILENT, LATE, TRACEBACK, UNCLEAR, HALF_WRITTEN)
SECONDS = 20  # that one case may take
MEMORY = 6 * 2**30  # bytes that one case may take beyond what is loaded already
LONGEST_LINE = 700
# of such a file no part can be named
UNREADABLE = re.compile("not valid JSON|nested too deeply|not in UTF-8|thousands of digits")
FORK = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Outcome:
    kind: str
    text: str


@dataclass(frozen=True)
class Damage:
    """``text`` for people; a refusal must match every one of the patterns ``named``."""

    text: str
    named: tuple[str, ...] = ()


class NoMeaning(Exception):
    """The slow reading finds no meaning in a file, so that accepting it is wrong."""


def refusal(text: str, named: tuple[str, ...]) -> Outcome:
    """Whether the text is one line that names what it must: first the file, then its parts."""
    if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in text):
        return Outcome(UNCLEAR, f"not one line that can be printed: {text!r}")
    if len(text) > LONGEST_LINE:
        return Outcome(UNCLEAR, f"{len(text)} characters: {text[:LONGEST_LINE]}")
    for pattern in named[:1] if UNREADABLE.search(text) else named:
        if not re.search(pattern, text):
            return Outcome(UNCLEAR, f"does not name {pattern}: {text}")
    return Outcome(REFUSED, text)


def isolated(judge: Callable[..., Outcome], *arguments) -> Outcome:
    """``judge(*arguments)`` in a process of its own."""
    receiver, sender = FORK.Pipe(duplex=False)
    process = FORK.Process(target=send_outcome, args=(sender, judge, arguments))
    process.start()
    sender.close()
    try:
        if not receiver.poll(SECONDS):
            return Outcome(LATE, f"did not end within {SECONDS} s")
        return receiver.recv()
    except EOFError:
        process.join()
        return Outcome(TRACEBACK, f"the process died with exit code {process.exitcode}")
    finally:
        process.kill()
        process.join()
        receiver.close()


def send_outcome(sender, judge, arguments):
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    try:
        outcome = judge(*arguments)
    except BaseException:
        outcome = Outcome(TRACEBACK, "in the judge: " + traceback.format_exc())
    sender.send(outcome)


def last_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
