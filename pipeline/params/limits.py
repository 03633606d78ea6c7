"""The limits of a number, declared beside its default and checked where a file is read."""

from dataclasses import dataclass, field

BOTTOMLESS = float("-inf")
ENDLESS = float("inf")


@dataclass(frozen=True)
class Limits:
    low: float
    high: float


def within(low=BOTTOMLESS, high=ENDLESS) -> Limits:
    """Of a part's knob: ``alpha: Annotated[float, within(0, 1)] = 0.5``; [low, high]."""
    return Limits(low, high)


def limited(default=..., *, low=BOTTOMLESS, high=ENDLESS):
    """A dataclass field whose number (or each number of a list) lies in [low, high]."""
    metadata = {"limits": Limits(low, high)}
    return field(metadata=metadata) if default is ... else field(default=default, metadata=metadata)
