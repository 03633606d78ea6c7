"""Mean and deviation over training seeds, and what the choice of the val images leaves open."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True)
class Summary:
    """``sd``: the sample standard deviation (n - 1); None of fewer than two values."""

    mean: float | None
    sd: float | None
    n: int


@dataclass(frozen=True)
class Interval:
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        return self.low > 0 or self.high < 0


def summary(values: Iterable[float | None]) -> Summary:
    """Over the seeds; a group that has no category has no value."""
    known = [value for value in values if value is not None]
    if not known:
        return Summary(None, None, 0)
    deviation = statistics.stdev(known) if len(known) > 1 else None
    return Summary(statistics.fmean(known), deviation, len(known))


def interval(seeds: Sequence[np.ndarray]) -> Interval | None:
    """The bootstrap's 95 % of the mean over the seeds' replicates [R]; None where there are none.

    It covers which val images were drawn, and not which seeds: these are taken as they are.
    """
    return percentiles(mean_replicates(seeds))


def paired_interval(own: Sequence[np.ndarray], base: Sequence[np.ndarray]) -> Interval | None:
    """The bootstrap's 95 % of the difference ``own`` minus ``base``, replicates [R] of each seed.

    Replicate r stands for the same val images in all of them, so what makes these easy or hard for
    both drops out. A side's replicate is the mean over its seeds. Like ``interval`` it covers the
    choice of the val images only: another training seed may move the difference further, which the
    standard deviation over seeds tells. None where replicates are missing, or unequal in number.
    """
    first, second = mean_replicates(own), mean_replicates(base)
    if first is None or second is None or len(first) != len(second):
        return None
    return percentiles(first - second)


def mean_replicates(seeds: Sequence[np.ndarray]) -> np.ndarray | None:
    if not seeds or len({len(replicates) for replicates in seeds}) > 1:
        return None
    return np.mean(seeds, axis=0)


def percentiles(values: np.ndarray | None) -> Interval | None:
    known = values[~np.isnan(values)] if values is not None else ()
    return Interval(*map(float, np.percentile(known, PERCENTILES))) if len(known) else None
