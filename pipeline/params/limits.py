"""A field's limits, declared beside its default and checked where a file is read."""

from dataclasses import field

BOTTOMLESS = float("-inf")
ENDLESS = float("inf")


def limited(default=..., *, low=BOTTOMLESS, high=ENDLESS):
    """A dataclass field whose number (or each number of a list) lies in [low, high]."""
    metadata = {"limits": (low, high)}
    return field(metadata=metadata) if default is ... else field(default=default, metadata=metadata)
