"""The golden run: inputs and outputs of the official code, and what must hold on any device.

The arrays were computed in float64 on one process; gradients, scores and embeddings are stored
as float32.
"""

import numpy as np
import torch

from pipeline.detection.features.hallucination import FeatureHallucination, jitter_boxes
from pipeline.detection.losses.bce import BCE
from pipeline.detection.losses.fcbl import FCBL

ROUNDED_TO_FLOAT32 = dict(rtol=1e-6, atol=1e-9)
EXACT = dict(rtol=1e-10, atol=1e-12)


class Golden:
    """The arrays of the file as tensors on a device; floating point ones in float64."""

    def __init__(self, path, device):
        self.arrays = np.load(path)
        self.read = set()
        self.device = device
        self.classes, _, self.steps, self.features = (int(n) for n in self.arrays["meta"][:4])
        self.alpha, self.prob_thr = (float(n) for n in self.arrays["meta"][4:])

    def __getitem__(self, name):
        self.read.add(name)
        tensor = torch.from_numpy(np.asarray(self.arrays[name]))
        return tensor.to(self.device, torch.float64 if tensor.is_floating_point() else None)

    def fcbl(self, weight):
        """The loss object of the golden run, in float64, and the (logits, labels) of its steps."""
        loss = FCBL(self.classes, alpha=self.alpha, prob_thr=self.prob_thr, weight=bool(weight))
        steps = [(self[f"logits_{s}"], self[f"labels_{s}"]) for s in range(self.steps)]
        return loss.double().to(self.device), steps

    def hallucination(self):
        """The module, in float64, after all batches of the golden run."""
        module = FeatureHallucination(self.classes, self.features).double().to(self.device)
        for s in range(self.steps):
            module.update(self[f"fhm_embeddings_{s}"], self[f"fhm_labels_{s}"])
        return module


def loss_and_gradient(loss, logits, labels, **arguments):
    logits = logits.clone().requires_grad_()
    value = loss(logits, labels, **arguments)
    value.backward()
    return value.detach(), logits.grad


def assert_close(actual, expected, tolerance):
    torch.testing.assert_close(actual, expected.to(actual.dtype), **tolerance)


def check_fcbl(golden, weight):
    loss, steps = golden.fcbl(weight)
    for s, (logits, labels) in enumerate(steps):
        value, gradient = loss_and_gradient(loss, logits, labels)
        assert_close(value, golden[f"fcbl_rw{weight}_loss_{s}"], EXACT)
        assert_close(gradient, golden[f"fcbl_rw{weight}_grad_{s}"], ROUNDED_TO_FLOAT32)
    assert_close(loss.confusion(), golden[f"fcbl_rw{weight}_confusion"], EXACT)
    assert_close(loss.class_count, golden[f"fcbl_rw{weight}_counts"], EXACT)


def check_fcbl_without_weight(golden):
    check_fcbl(golden, 0)


def check_fcbl_with_weight(golden):
    check_fcbl(golden, 1)


def check_bce(golden):
    logits, labels = golden["logits_0"], golden["labels_0"]
    rows = len(labels)
    ones = torch.ones(rows, device=golden.device, dtype=torch.float64)
    # mmdet divides by avg_factor plus the float32 epsilon
    divisor = rows + torch.finfo(torch.float32).eps
    value, gradient = loss_and_gradient(
        BCE(golden.classes), logits, labels, weight=ones, avg_factor=divisor
    )
    assert_close(value, golden["bce_loss"], EXACT)
    assert_close(gradient, golden["bce_grad"], ROUNDED_TO_FLOAT32)


def check_scores_at_inference(golden):
    for loss in (BCE(golden.classes), FCBL(golden.classes)):
        scores = loss.get_activation(golden["logits_0"])
        assert_close(scores, golden["activation_0"], ROUNDED_TO_FLOAT32)


def check_feature_statistics(golden):
    module = golden.hallucination()
    assert_close(module.mean, golden["fhm_mean"], EXACT)
    assert_close(module.var, golden["fhm_var"], EXACT)
    assert_close(module.seen, golden["fhm_seen"], dict(rtol=0, atol=0))


def check_class_probability(golden):
    module = FeatureHallucination(golden.classes, golden.features)
    probability = module.class_probability(golden["fcbl_rw1_confusion"].diagonal())
    assert_close(probability, golden["fhm_class_probability"], EXACT)


def check_jittered_boxes(golden):
    height_width = tuple(int(n) for n in golden["jitter_img_hw"])
    boxes = jitter_boxes(golden["jitter_gt"], height_width, golden["jitter_uniform"])
    # the official sixth is a float32
    assert_close(boxes.flatten(0, 1), golden["jitter_boxes"], dict(rtol=1e-7, atol=1e-6))
    labels = torch.arange(len(boxes), device=golden.device).repeat_interleave(boxes.shape[1])
    assert_close(labels, golden["jitter_labels"], EXACT)


CHECKS = (
    check_fcbl_without_weight,
    check_fcbl_with_weight,
    check_bce,
    check_scores_at_inference,
    check_feature_statistics,
    check_class_probability,
    check_jittered_boxes,
)
