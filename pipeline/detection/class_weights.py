"""The length of each class's weight vector in a classifier: what long tails bend first.

It lies beside the weights, so that `diagnose` knows neither torch nor a detector's heads.
"""

from pathlib import Path

import numpy as np

from pipeline.detection.families import family_of_state

FILE = "classifier.npz"


def write_class_weights(state: dict, classes: int, out: Path) -> None:
    """``out``/classifier.npz: ``norm`` and ``bias`` [C] of the classifier's last layer in the state
    dict, without background, in the model's order."""
    weight, bias = family_of_state(state).classifier(state)
    norms, biases = weight[:classes].float().norm(dim=1), bias[:classes].float()
    np.savez(out / FILE, norm=norms.numpy(), bias=biases.numpy())
