"""Mean, deviation and intervals against slow reference code and laws."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.tables.intervals import Interval, paired_interval, summary

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


def slow_interval(difference, own, base):
    differences = []
    for r in range(REPLICATES):
        first = sum(array[r] for array in own) / len(own)
        second = sum(array[r] for array in base) / len(base)
        if not math.isnan(first - second):
            differences.append(first - second)
    middle = sum(differences) / len(differences)
    low, high = (percentile(differences, percent) - middle for percent in (2.5, 97.5))
    return difference - high, difference - low


def ends(found):
    return found.low, found.high


@given(finite, seeds, seeds)
def test_paired_interval_equals_the_slow_one(difference, own, base):
    found = paired_interval(difference, own, base)
    assert ends(found) == pytest.approx(slow_interval(difference, own, base), abs=1e-9)


@given(finite, seeds, seeds)
def test_turned_round_it_changes_sign(difference, own, base):
    found, back = paired_interval(difference, own, base), paired_interval(-difference, base, own)
    assert ends(found) == pytest.approx((-back.high, -back.low), abs=1e-9)


@given(seeds, st.floats(-1, 1))
def test_what_is_common_to_both_drops_out(base, bias):
    """Also a bias of the resamples that the measured difference does not have."""
    own = [array + bias for array in base]
    assert ends(paired_interval(0.25, own, base)) == pytest.approx((0.25, 0.25), abs=1e-6)


def test_it_covers_the_expected_difference_where_resamples_are_biased():
    """By a shift here, as repeated images raise AP; about 95 of 100 intervals hold the 0.1."""
    rng, covered = np.random.default_rng(0), 0
    for _ in range(200):
        scores = rng.normal(0.1, 1, 200)
        replicates = scores[rng.integers(0, 200, (400, 200))].mean(axis=1) + 0.3
        low, high = ends(paired_interval(scores.mean(), [replicates], [0 * replicates]))
        covered += low <= 0.1 <= high
    assert 180 <= covered <= 198


def test_resamples_in_which_a_group_has_no_category_are_left_out():
    own, base = np.full(REPLICATES, 0.5), np.full(REPLICATES, 0.25)
    own[1] = base[2] = np.nan
    assert paired_interval(0.25, [own], [base]) == Interval(0.25, 0.25)
    own[3] = np.nan  # more than 5 %: it rests on one or two images
    assert paired_interval(0.25, [own], [base]) is None


def test_without_replicates_there_is_no_interval():
    array = np.zeros(REPLICATES)
    assert paired_interval(0, [], [array]) is None
    assert paired_interval(0, [array], []) is None
    assert paired_interval(0, [array], [array[:3]]) is None
    assert paired_interval(0, [array, array[:3]], [array]) is None


@pytest.mark.parametrize(
    ("ends_of", "excludes"), [((0.1, 0.2), True), ((-0.2, -0.1), True), ((-0.1, 0.1), False)]
)
def test_an_interval_tells_whether_it_excludes_zero(ends_of, excludes):
    assert Interval(*ends_of).excludes_zero is excludes


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
