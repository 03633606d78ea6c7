"""Means along the axis of training counts."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.reporting.axes import binned_means


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 2000), st.floats(0, 1)), min_size=1, max_size=200))
def test_binned_means_stay_within_the_data(pairs):
    counts, ap = (np.array(column, float) for column in zip(*pairs, strict=True))
    centres, means = binned_means(counts, ap)
    assert (np.diff(centres) > 0).all()
    assert centres[0] >= counts.min() * (1 - 1e-9)
    assert centres[-1] <= counts.max() * (1 + 1e-9)
    assert means.min() >= ap.min() - 1e-9
    assert means.max() <= ap.max() + 1e-9


def test_binned_means_of_one_bin_are_the_means():
    centres, means = binned_means(np.array([1.0, 4.0, 16.0]), np.array([0.1, 0.2, 0.6]))
    assert centres == pytest.approx([4.0])
    assert means == pytest.approx([0.3])
