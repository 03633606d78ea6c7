"""Which category belongs to which group."""

import pytest

from pipeline.evaluation.groupings import GROUPINGS, LVIS, SIMCAL, has_counts


@pytest.mark.parametrize(
    ("instances", "code"),
    [(0, ""), (1, "1"), (19, "1"), (20, "2"), (399, "2"), (400, "3"), (7999, "3"), (8000, "4")],
)
def test_simcal_bins(instances, code):
    assert SIMCAL.codes([{"instance_count": instances}]).tolist() == [code]


def test_lvis_groups_are_the_given_frequencies():
    assert LVIS.codes([{"frequency": letter} for letter in "fcr"]).tolist() == list("fcr")


def test_no_two_groups_share_a_key_or_a_code():
    groups = [group for grouping in GROUPINGS.values() for group in grouping.groups]
    assert len({g.key for g in groups}) == len({g.code for g in groups}) == len(groups)


def test_names_for_readers():
    assert LVIS.groups[0].of("objects") == "rare objects"
    assert SIMCAL.groups[3].of("objects") == "objects in [8000,∞)"
    assert SIMCAL.name("") == "not in training"


@pytest.mark.parametrize("count", [None, "12", 1.5])
def test_a_count_that_is_no_whole_number_is_no_count(count):
    assert not has_counts(SIMCAL, [{"instance_count": 1}, {"instance_count": count}])
    assert not has_counts(SIMCAL, [{}])
