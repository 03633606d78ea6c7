"""The classifier's weights by category, from models/<method>/classifier.npz."""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.files import write_text


def write_classifier(folder: Path, found: Path, categories: list[dict]) -> None:
    """``folder``/classifier.csv: category_id, weight_norm, bias; in the order of ``categories``.

    ``ValueError`` where there is no file ``found``, which training and import write.
    """
    if not found.is_file():
        raise ValueError(f"{found} is missing; make the model again (`dvc repro`)")
    weights = np.load(found)
    table = pd.DataFrame(
        {
            "category_id": [category["id"] for category in categories],
            "weight_norm": weights["norm"].astype(float),
            "bias": weights["bias"].astype(float),
        }
    ).round(5)
    write_text(folder / "classifier.csv", table.to_csv(index=False, lineterminator="\n"))
