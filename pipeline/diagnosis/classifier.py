"""The classifier's weights by category, from models/<method>/weights.pth."""

from pathlib import Path

import pandas as pd

from pipeline.files import write_text


def write_classifier(folder: Path, weights: Path, categories: list[dict]) -> None:
    """``folder``/classifier.csv: category_id, weight_norm, bias; in the order of ``categories``."""
    from pipeline.diagnosis.classifier_norms import classifier_norms

    norms, biases = classifier_norms(weights, len(categories))
    table = pd.DataFrame(
        {
            "category_id": [category["id"] for category in categories],
            "weight_norm": norms,
            "bias": biases,
        }
    ).round(5)
    write_text(folder / "classifier.csv", table.to_csv(index=False, lineterminator="\n"))
