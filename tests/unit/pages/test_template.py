"""What the filters of the templates write."""

import pytest

from pipeline.pages.template import duration, minus


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("-1.5", "−1.5"),
        ("AP by -1.5 (-0.2)", "AP by −1.5 (−0.2)"),
        ("2020-05-01 to r50-2x", "2020-05-01 to r50-2x"),
        ("a - b, -x", "a - b, -x"),
        ("+1.5", "+1.5"),
    ],
)
def test_a_hyphen_is_a_minus_sign_where_a_number_follows_and_no_word_precedes(text, shown):
    assert minus(text) == shown


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(7.25, "7.2 s"), (75, "1 min 15 s"), (3599.6, "1 h 00 min"), (3725, "1 h 02 min")],
)
def test_a_duration_has_its_two_largest_units(seconds, text):
    assert duration(seconds) == text
