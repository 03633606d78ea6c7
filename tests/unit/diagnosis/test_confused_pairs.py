"""The largest pairs and the sums over bins of a matrix, beside the obvious way on all of it."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.diagnosis.confused_pairs import PAIRS, ROWS_AT_ONCE, in_float64, largest_pairs


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6), classes=st.integers(1, 40), levels=st.integers(1, 6))
def test_largest_pairs_are_those_of_a_stable_sort(seed, classes, levels):
    """Few levels: many are equal, and then the first in the matrix go first."""
    others = np.random.default_rng(seed).integers(0, levels, (classes, classes)) / np.float32(8)
    order = np.argsort(-others, axis=None, kind="stable")[:PAIRS]
    expected = [divmod(int(place), classes) for place in order]
    assert largest_pairs(others) == [pair for pair in expected if others[pair] > 0]


def test_sums_are_those_of_float64():
    rng = np.random.default_rng(0)
    matrix = rng.random((2 * ROWS_AT_ONCE + 3, 700), np.float32)
    member = np.eye(5)[rng.integers(0, 5, 700)]
    np.testing.assert_allclose(in_float64(matrix, member), matrix.astype(float) @ member, 1e-12)
