"""What on a server that others use too is this project's: what carries its tag.

A project is a git repository: its clones, so all colleagues, share the first commit. A folder
without git and a shallow clone do not know theirs, and go along with every project of this code.
What has no tag is somebody else's, unless it is recognised as made by code from before the tag.
"""

from pipeline.runs import git_state

OWNER, UNKNOWN = "bacl-pipeline.repository", "unknown"


class NotOurs(ValueError):
    """Says what was left alone, and what to set instead."""


def repository(project) -> str:
    """16 hex digits of the first commit, or ``UNKNOWN``."""
    if git_state.ask(project, "rev-parse", "--is-shallow-repository") == "true":
        return UNKNOWN
    first = git_state.ask(project, "rev-list", "--first-parent", "--max-parents=0", "HEAD")
    return first[:16] or UNKNOWN


def owner_tag(repository) -> dict:
    return {OWNER: repository}


def is_ours(tags, repository, unmarked=False) -> bool:
    """``unmarked``: what to answer where there is no tag."""
    owner = tags.get(OWNER)
    return unmarked if owner is None else owner == repository or UNKNOWN in (owner, repository)
