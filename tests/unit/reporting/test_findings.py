"""What the page says in words."""

from types import SimpleNamespace

import pandas as pd
import pytest

from pipeline.evaluation.groupings import LVIS, SIMCAL
from pipeline.reporting import findings


@pytest.mark.parametrize(
    ("number", "nouns", "text"),
    [(0, "images", "0 images"), (1, "images", "1 image"), (1, "objects", "1 object")],
)
def test_one_is_singular(number, nouns, text):
    assert findings.counted(number, nouns) == text


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
    found = findings.extremes(inputs)
    assert [row["training"] for kind in ("gains", "losses") for row in found[kind]] == texts
