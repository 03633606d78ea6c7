"""How a value that somebody wrote stands in a message: on one line, and never pages of it."""

import reprlib

LONGEST = 80  # characters

_short = reprlib.Repr()
_short.maxlevel = 3
_short.maxstring = _short.maxother = _short.maxlong = LONGEST


def shown(value: object) -> str:
    """``value`` as Python writes it, its middle left out where it is long."""
    text = " ".join(_short.repr(value).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def in_one_line(error: Exception) -> str:
    """What another library says, on one line; a file's text that it quotes may be long."""
    text = "".join(c if c.isprintable() else " " for c in str(error))
    text = " ".join(text.split())
    return text if len(text) <= 4 * LONGEST else f"{text[: 4 * LONGEST - 3]}..."
