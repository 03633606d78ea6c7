"""The groups on the axis of training counts, and the largest gains and losses."""

from types import SimpleNamespace

import pandas as pd
import pytest

from pipeline.evaluation.groupings import LVIS, SIMCAL
from pipeline.reporting.axes import NO_IMAGE
from pipeline.reporting.sections.frequency import extremes, group_edges


def categories(counts, codes, count="image_count"):
    return pd.DataFrame({count: counts, "group": list(codes)})


def test_groups_meet_between_their_counts():
    edges = group_edges(categories([1, 10, 11, 100, 101, 400], "rrccff"), LVIS)
    assert list(edges) == ["r", "c", "f"]
    assert 10 < edges["r"][1] == edges["c"][0] < 11
    assert 100 < edges["c"][1] == edges["f"][0] < 101


def test_groups_that_overlap_are_not_shaded():
    assert group_edges(categories([1, 50, 11], "rrc"), LVIS) == {}


def test_what_is_in_no_group_keeps_a_place_on_the_axis():
    table = categories([0, 3, 20, 9000], ["", "1", "2", "4"], "instance_count")
    edges = group_edges(table, SIMCAL)
    assert list(edges) == ["", "1", "2", "4"]
    assert 0 < edges[""][0] < NO_IMAGE < edges[""][1] == edges["1"][0] < 3


@pytest.mark.parametrize(
    ("grouping", "texts"), [(LVIS, ["1 image", "2 images"]), (SIMCAL, ["3 objects", "1 object"])]
)
def test_extremes_say_how_often_training_shows_the_category(grouping, texts):
    table = pd.DataFrame(
        [
            (method, category, f"name {category}", "1", image_count, instance_count, ap)
            for method, gain in (("softmax", 0), ("bacl", 0.1))
            for category, image_count, instance_count, ap in (
                (1, 1, 3, 0.2 + 2 * gain),
                (2, 2, 1, 0.2 - gain),
            )
        ],
        columns=["method", "category_id", "name", "group", "image_count", "instance_count", "AP"],
    )
    inputs = SimpleNamespace(
        per_category=table, baseline="softmax", challenger="bacl", grouping=grouping
    )
    found = extremes(inputs)
    assert [row["training"] for kind in ("gains", "losses") for row in found[kind]] == texts
