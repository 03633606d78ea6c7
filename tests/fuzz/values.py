"""Values and bytes that nobody expects in a field."""

import json
import os

import numpy as np

INFINITE = float("inf")
SIMPLE = (
    None, True, False, "", "7", "text", "NaN", [], {}, [[1]], [None], {"a": 1}, ["2"],
    float("nan"), INFINITE, -INFINITE, -1, 0, 0.0, 0.5, 1.0, 2, 7, 1e-320, 1e30, 1e308,
    2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**400, -(10**400),
    "half \ud83d", "zero \x00 byte", "two\nlines", "\x1b[31mred", "\u202e", "x" * 5000,
    "../../../etc/passwd", "/etc/passwd", ".", "..", "/", "a/../b", "C:\\a.jpg", "~", "~nobody1/x",
)  # fmt: skip


class Raw(str):
    """A text that is written as it stands, where no Python value would give it."""


RAW = (
    Raw("[" * 5000 + "]" * 5000),
    Raw("[" * 200_000 + "]" * 200_000),
    Raw('{"a":' * 5000 + "1" + "}" * 5000),
    Raw("1" * 5000),
    Raw("1e400"),
    Raw("-0"),
    Raw("-0.0"),
)


def pick(rng, options):
    """One of ``options``, whatever their types."""
    return options[int(rng.integers(len(options)))]


def odd_value(rng):
    return pick(rng, RAW if rng.random() < 0.1 else SIMPLE)


def brief(value) -> str:
    text = repr(value)
    return text if len(text) < 60 else f"{text[:30]}... ({len(text)} characters)"


def to_json(value) -> str:
    """JSON as Python writes it, NaN and lone surrogates included, with ``Raw`` as it stands."""
    raws = []

    def replaced(value):
        if isinstance(value, Raw):
            raws.append(value)
            return f"@raw{len(raws) - 1}@"
        if isinstance(value, dict):
            return {key: replaced(inner) for key, inner in value.items()}
        return [replaced(inner) for inner in value] if isinstance(value, list) else value

    text = json.dumps(replaced(value))
    for number, raw in enumerate(raws):
        text = text.replace(f'"@raw{number}@"', raw)
    return text


# --- bytes ----------------------------------------------------------------------------------


def truncated(rng, data):
    return data[: int(rng.integers(len(data)))]


def flipped(rng, data):
    """One to three bits are others."""
    array = np.frombuffer(data, np.uint8).copy()
    for place in rng.integers(len(array), size=int(rng.integers(1, 4))):
        array[place] ^= 1 << int(rng.integers(8))
    return array.tobytes()


def in_utf_16(rng, data):
    return data.decode(errors="replace").encode(pick(rng, ["utf-16", "utf-16-le", "utf-32"]))


BYTES = {
    "truncated": truncated,
    "bits flipped": flipped,
    "in UTF-16": in_utf_16,
    "with a BOM": lambda rng, data: b"\xef\xbb\xbf" + data,
    "empty": lambda rng, data: b"",
    "zeros": lambda rng, data: bytes(len(data)),
    "twice": lambda rng, data: data + data,
    "with a byte that is no UTF-8": lambda rng, data: data.replace(b"a", b"\xff", 1),
    "with CRLF": lambda rng, data: data.replace(b"\n", b"\r\n"),
    "with a zero byte at its end": lambda rng, data: data + b"\0",
}


def damage_bytes(rng, path) -> str:
    """Damage the file as a whole; returns what was done."""
    name = pick(rng, list(BYTES))
    path.write_bytes(BYTES[name](rng, path.read_bytes()))
    return name


def replace_file(rng, path) -> str:
    """Put something else in the file's place; returns what."""
    kind = pick(rng, ["absent", "a folder", "a broken link", "a link to itself", "a FIFO"])
    path.unlink()
    if kind == "a folder":
        path.mkdir()
    elif kind == "a broken link":
        path.symlink_to("nowhere")
    elif kind == "a link to itself":
        path.symlink_to(path.name)
    elif kind == "a FIFO":
        os.mkfifo(path)
    return kind
