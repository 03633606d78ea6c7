"""A step of FCBL and hallucination costs what its rows cost, and not the classes squared."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from pipeline.detection.by_class import first_of_class, sums_at_first
from pipeline.detection.features.hallucination import FeatureHallucination
from pipeline.detection.losses.fcbl import FCBL
from pipeline.detection.losses.fcbl_dense import DenseFCBL
from pipeline.detection.step_statistics import one_step

CLASSES, FEATURES, ROWS, DRAWN = 400, 64, 20, 4


class LargestResult(TorchDispatchMode):
    """``size``: of the largest tensor that an operation made, but for what lies in ``known``."""

    def __init__(self, known):
        super().__init__()
        self.known = {tensor.untyped_storage().data_ptr() for tensor in known}
        self.size = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for made in result if isinstance(result, (tuple, list)) else [result]:
            if torch.is_tensor(made) and made.untyped_storage().data_ptr() not in self.known:
                self.size = max(self.size, made.numel())
        return result


def batch(width):
    logits = torch.randn(ROWS + DRAWN, width, requires_grad=True)
    return logits, torch.randint(0, CLASSES + 1, (ROWS + DRAWN,))


@pytest.mark.parametrize(("loss", "width"), [(FCBL, CLASSES + 1), (DenseFCBL, CLASSES)])
def test_a_step_makes_no_matrix_of_classes(loss, width):
    """Neither [C, C], nor [C, D] where the matrix of features would be larger than the logits."""
    loss = loss(CLASSES)
    features = FeatureHallucination(CLASSES, FEATURES, sampled_classes=2, samples_per_class=2)
    logits, label = batch(width)
    with LargestResult([*loss.buffers(), *features.buffers()]) as largest, one_step(loss):
        loss(logits, label).backward()
        features.record(torch.randn(32, FEATURES), torch.randint(0, CLASSES, (32,)))
        features.draw(loss.own_share())
    with largest:
        loss(*batch(width))
    assert len(logits) * CLASSES <= largest.size <= len(logits) * (CLASSES + 2)
    assert largest.size < CLASSES * FEATURES


def test_only_counted_foreground_rows_are_recorded():
    loss = FCBL(CLASSES)
    logits, label = batch(CLASSES + 1)
    weight = (torch.arange(len(label)) % 3 > 0).float()
    label[::2] = CLASSES
    with one_step(loss):
        loss(logits, label, weight)
        ((shares, recorded),) = loss.held
    mine = (label < CLASSES) & (weight > 0)
    torch.testing.assert_close(shares, logits[mine, :-1].softmax(dim=1).detach())
    assert torch.equal(recorded, label[mine])


@settings(max_examples=30, deadline=None)
@given(labels=st.lists(st.integers(0, 5), max_size=20))
def test_sums_stand_at_the_first_row_of_each_class(labels):
    rows = torch.randn(len(labels), 3, dtype=torch.float64)
    first = first_of_class(torch.tensor(labels, dtype=torch.long), 6)
    assert first.tolist() == [labels.index(label) for label in labels]
    expected = torch.zeros_like(rows)
    for place, label in enumerate(labels):
        expected[labels.index(label)] += rows[place]
    assert torch.equal(sums_at_first(rows, first), expected)
