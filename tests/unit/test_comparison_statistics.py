"""Mean, deviation and intervals against slow reference code and laws."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.comparison.statistics import Interval, interval, paired_interval, summary

REPLICATES = 40
finite = st.floats(0, 1, width=32)
seeds = st.lists(arrays(float, REPLICATES, elements=finite), min_size=1, max_size=3)


def percentile(values, percent):
    """With linear interpolation between the two neighbours."""
    values = sorted(values)
    place = percent / 100 * (len(values) - 1)
    low = math.floor(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (place - low) * (values[high] - values[low])


def slow_interval(own, base):
    differences = []
    for r in range(REPLICATES):
        first = sum(array[r] for array in own) / len(own)
        second = sum(array[r] for array in base) / len(base)
        if not math.isnan(first - second):
            differences.append(first - second)
    return percentile(differences, 2.5), percentile(differences, 97.5)


@given(seeds, seeds)
def test_paired_interval_equals_the_slow_one(own, base):
    found = paired_interval(own, base)
    assert (found.low, found.high) == pytest.approx(slow_interval(own, base), abs=1e-9)


@given(seeds, seeds)
def test_turned_round_it_changes_sign(own, base):
    found, back = paired_interval(own, base), paired_interval(base, own)
    assert (found.low, found.high) == pytest.approx((-back.high, -back.low), abs=1e-9)
    assert found.excludes_zero == back.excludes_zero or abs(found.low * found.high) < 1e-12


@given(seeds, st.floats(-1, 1))
def test_what_is_common_to_both_drops_out(base, shift):
    own = [array + shift for array in base]
    assert paired_interval(own, base).low == pytest.approx(shift, abs=1e-6)
    assert paired_interval(own, base).high == pytest.approx(shift, abs=1e-6)


def test_resamples_in_which_a_group_has_no_category_are_left_out():
    own, base = np.full(REPLICATES, 0.5), np.full(REPLICATES, 0.25)
    own[:5] = base[3:9] = np.nan
    assert paired_interval([own], [base]) == Interval(0.25, 0.25)
    assert paired_interval([np.full(3, np.nan)], [np.full(3, np.nan)]) is None


def test_without_replicates_there_is_no_interval():
    array = np.zeros(REPLICATES)
    assert paired_interval([], [array]) is None
    assert paired_interval([array], []) is None
    assert paired_interval([array], [array[:3]]) is None
    assert paired_interval([array, array[:3]], [array]) is None
    assert interval([]) is None


def test_the_interval_of_one_side():
    array = np.linspace(0, 1, 1001)
    assert interval([array, array + 1]) == Interval(pytest.approx(0.525), pytest.approx(1.475))


@pytest.mark.parametrize(
    ("ends", "excludes"), [((0.1, 0.2), True), ((-0.2, -0.1), True), ((-0.1, 0.1), False)]
)
def test_an_interval_tells_whether_it_excludes_zero(ends, excludes):
    assert Interval(*ends).excludes_zero is excludes


@given(st.lists(st.none() | finite, max_size=5))
def test_summary_of_what_is_known(values):
    known = [value for value in values if value is not None]
    found = summary(values)
    assert found.n == len(known)
    assert (found.mean is None) == (not known)
    assert (found.sd is None) == (len(known) < 2)
    if known:
        assert found.mean == pytest.approx(sum(known) / len(known))
    if len(known) > 1:
        assert found.sd == pytest.approx(statistics.stdev(known))
