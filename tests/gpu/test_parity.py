"""On a GPU: the golden arrays hold; FCBL waits for it once a step, the hallucination never."""

import warnings

import pytest
import torch
from golden import CHECKS, Golden
from rivals import cases, load
from rivals import check as check_rival

from pipeline.detection.features.hallucination import FeatureHallucination
from pipeline.detection.losses.fcbl import FCBL
from pipeline.detection.losses.seesaw import Seesaw

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
CLASSES, FEATURES, ROWS = 1203, 1024, 1024


@pytest.fixture
def no_waiting():
    """Any operation in the test that waits for the device is an error."""
    mode = torch.cuda.get_sync_debug_mode()
    yield lambda: torch.cuda.set_sync_debug_mode("error")
    torch.cuda.set_sync_debug_mode(mode)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_golden(check, shared):
    check(Golden(shared / "golden" / "bacl_small.npz", "cuda"))


@pytest.mark.usefixtures("no_waiting")  # for its end: the mode is set back
def test_fcbl_waits_once():
    """For the positions of the foreground."""
    loss = FCBL(CLASSES).cuda()
    logits = torch.randn(ROWS, CLASSES + 1, device="cuda", requires_grad=True)
    labels = torch.randint(0, CLASSES + 1, (ROWS,), device="cuda")
    weight = (torch.rand(ROWS, device="cuda") > 0.1).float()
    torch.cuda.set_sync_debug_mode("warn")
    for _ in range(2):
        with warnings.catch_warnings(record=True) as waits:
            warnings.simplefilter("always")
            loss(logits, labels, weight).backward()
        assert len([w for w in waits if "synchronizing" in str(w.message)]) == 1


def test_seesaw_never_waits(no_waiting):
    loss = Seesaw(CLASSES).cuda()
    logits = torch.randn(ROWS, CLASSES + 2, device="cuda", requires_grad=True)
    labels = torch.randint(0, CLASSES + 1, (ROWS,), device="cuda")
    weight = (torch.rand(ROWS, device="cuda") > 0.1).float()
    no_waiting()
    for _ in range(2):
        sum(loss(logits, labels, weight).values()).backward()


def test_the_rivals_golden_arrays(shared):
    rivals = load(shared / "golden" / "rivals_small.npz", "cuda")
    for case in cases(rivals):
        check_rival(case, rivals)


def test_hallucination_never_waits(no_waiting):
    module = FeatureHallucination(CLASSES, FEATURES).cuda()
    own_share = FCBL(CLASSES).cuda().own_share()
    boxes = torch.rand(150, 4, device="cuda").cumsum(dim=1) * 100
    labels = torch.randint(0, CLASSES, (150,), device="cuda")
    embeddings = torch.randn(1600, FEATURES, device="cuda")
    no_waiting()
    for _ in range(2):
        _, jittered_labels = module.statistics_boxes(boxes, labels, (500, 500))
        module.update(embeddings, jittered_labels)
        module.draw(own_share)
