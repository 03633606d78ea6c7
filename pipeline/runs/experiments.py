"""DVC's experiments among the references of git."""

import json
import re

from pipeline.runs.git import git

REFERENCE = re.compile(r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/(.+)")  # others are DVC's own notes


def plain(text: str) -> str:
    """Safe in a git reference and as a file name."""
    return re.sub(r"[^0-9A-Za-z_]+", "-", text).strip("-")


def finished(folder=None) -> dict[str, str]:
    """Name -> git reference of every experiment, whichever commit it started from, by their age.

    Of two of one name the newer.
    """
    options = ("--sort=committerdate", "--format=%(refname)", "refs/exps")
    references = git("for-each-ref", *options, folder=folder).split()
    found = map(REFERENCE.fullmatch, references)
    return {match[1]: match[0] for match in found if match}


def metrics(reference: str, method: str) -> dict:
    return json.loads(git("show", f"{reference}:./reports/metrics/{method}.json"))
