"""What the page says in words, and the changes that it speaks of."""

import numpy as np
import pandas as pd
import pytest

from pipeline.evaluation.groupings import LVIS
from pipeline.reporting import findings


@pytest.mark.parametrize(
    ("number", "nouns", "text"),
    [(0, "images", "0 images"), (1, "images", "1 image"), (1, "objects", "1 object")],
)
def test_one_is_singular(number, nouns, text):
    assert findings.counted(number, nouns) == text


def test_deltas_are_sorted_by_training_images_and_undefined_where_one_side_is():
    table = pd.DataFrame(
        {
            "method": ["a", "a", "name", "name"],
            "category_id": [1, 2, 1, 2],
            "name": ["x", "y"] * 2,
            "group": ["f", "r"] * 2,
            "image_count": [200, 3] * 2,
            "AP": [0.5, np.nan, 0.75, 0.1],
        }
    )
    about, change = findings.deltas(table, "a", LVIS)
    assert about["name"].tolist() == ["y", "x"]
    assert change["name"].tolist() == pytest.approx([np.nan, 0.25], nan_ok=True)
