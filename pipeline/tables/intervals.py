"""Mean and deviation over training seeds, and what the choice of the val images leaves open."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

PERCENTILES = (2.5, 97.5)
ENOUGH = 0.95  # of the replicates must be defined


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


def paired_interval(
    difference: float, own: Sequence[np.ndarray], base: Sequence[np.ndarray]
) -> Interval | None:
    """The bootstrap's 95 % around ``difference``, ``own`` minus ``base``; replicates [R] a seed.

    Replicate r stands for the same val images in all of them, so what makes these easy or hard for
    both drops out. A side's replicate is the mean over its seeds. It tells what other val images of
    this number would show, and nothing about other training seeds.

    Of the replicates only the spread counts, as an image that is drawn twice raises AP: centred on
    their own mean they say how far a measured difference lies from the expected one. None where
    replicates are missing or unequal in number, or too often undefined: then the objects are on
    one or two images (one is missing from 37 % of the resamples, all of three from 5 %).
    """
    first, second = mean_replicates(own), mean_replicates(base)
    if first is None or second is None or len(first) != len(second):
        return None
    values = first - second
    known = values[~np.isnan(values)]
    if len(known) < ENOUGH * len(values):
        return None
    low, high = np.percentile(known, PERCENTILES) - known.mean()
    return Interval(float(difference - high), float(difference - low))


def mean_replicates(seeds: Sequence[np.ndarray]) -> np.ndarray | None:
    if not seeds or len({len(replicates) for replicates in seeds}) > 1:
        return None
    return np.mean(seeds, axis=0)
