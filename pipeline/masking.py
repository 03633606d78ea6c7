"""Credentials -> ``***``, in whatever others may read: output, logs, reports, uploads.

They come from params.yaml (addresses with a password or a signed query, shell lines for SLURM),
from the environment, and from libraries that quote either in their messages.
"""

import os
import re
import sys

HIDDEN = "***"
SCHEME = r"[a-zA-Z][\w+.-]{0,30}://"  # bounded, as everything that is tried at every character
URL = re.compile(SCHEME + r"[^\s'\"<>`\\]+")
WHOLE_URL = re.compile(SCHEME + r"\S+")
USER = re.compile(r"(?<=://)([^/?#:]*)(:[^/?#]*)?@")
TOKEN = re.compile(r"[\w.-]{20,}")  # in the place of a user's name
PART_OF_QUERY = re.compile(r"([?&;#])([^=?&;#/]+)(=?)([^&;#]*)")
HARMLESS = {"workflowType", "viewStateShareKey"}  # of the address that `track` prints
SECRET = (
    r"(?:password|passwd|passphrase|secret|token|authorization|credential"
    r"|(?:api|access|private|account)[_-]?key)[\w.-]{0,60}"
)
NO_SECRET = r"(?!(?:true|false|null|none|[\d.]+)(?:[\s,;'\"})\]]|$))"  # with_cls_token=True
VALUE = r"(?:\"[^\"]*\"|'[^']*'|(?:(?:bearer|basic)\s+)?[^\s,;'\"})\]]+)"
OPTION = rf"--[\w.-]{{0,60}}{SECRET}\s+"
ASSIGNED = re.compile(rf"(?i)({SECRET}['\"]?\s*[=:]\s*|{OPTION}){NO_SECRET}({VALUE})")
SECRET_NAME = re.compile(rf"(?i)[\w.-]*{SECRET}")
SHORTEST = 6  # a value of the environment that is replaced wherever it stands


def masked(text: str) -> str:
    """The text without passwords, tokens, queries of addresses, and secret values of the
    environment; a user's name stays: ``https://me:***@host/file?sig=***``."""
    for value in secret_values():
        text = text.replace(value, HIDDEN)
    whole = WHOLE_URL.fullmatch(text)
    text = masked_url(text) if whole else URL.sub(lambda found: masked_url(found[0]), text)
    return ASSIGNED.sub(masked_value, text)


def masked_url(url):
    end = len(url.rstrip(".,:;)"))  # of the sentence around it
    url, rest = url[:end], url[end:]
    return PART_OF_QUERY.sub(masked_part, USER.sub(masked_user, url)) + rest


def masked_user(found):
    user, password = found.groups()
    if password is None:
        return found[0] if user == "git" else f"{HIDDEN}@"
    return f"{HIDDEN if TOKEN.fullmatch(user) else user}:{HIDDEN}@"


def masked_part(found):
    before, key, equals, _ = found.groups()
    if key in HARMLESS or (before == "#" and not equals):  # an anchor in a page
        return found[0]
    return f"{before}{key}={HIDDEN}" if equals else f"{before}{HIDDEN}"


def masked_value(found):
    """In the quotes it has, so that a text of Python or YAML can still be read."""
    name, value = found.groups()
    quote = value[0] if value[0] in "'\"" else ""
    return f"{name}{quote}{HIDDEN}{quote}"


def secret_values():
    """The longest first, as one may be a part of another."""
    found = {
        value
        for name, value in os.environ.items()
        if len(value) >= SHORTEST and SECRET_NAME.fullmatch(name)
    }
    return sorted(found, key=len, reverse=True)


class MaskedStream:
    """A text stream that hides what is written to it."""

    def __init__(self, stream):
        self.stream = stream

    def write(self, text):
        return self.stream.write(masked(text))

    def writelines(self, lines):
        for line in lines:
            self.write(line)

    def __getattr__(self, name):
        return getattr(self.stream, name)


def mask_output() -> None:
    """From now on whatever this process prints is masked, also by libraries and in tracebacks."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, MaskedStream):
            setattr(sys, name, MaskedStream(stream))
