"""The golden arrays of the rival methods: what a loss or calibration must give, case by case.

golden/README.md has the calling convention. ``cases(shared)`` are those of the types that have a
file; ``check(case, arrays)`` runs one on a device.
"""

import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from mmdet.registry import MODELS

import pipeline.detection  # noqa: F401
from pipeline.params.parts import DETECTION

TOLERANCE = 2e-6
STEPS = 3
FOLDERS = ("losses", "calibrations")
RARE_IMAGES, RARE_INSTANCES = 10, 9
UNIFORM = {
    "bags": "uniform_bags_{}", "pairs": "uniform_pairs_{}", "class": "uniform_class_{}",
    "acsl": "uniform_acsl_{}",
}  # fmt: skip


@dataclass(frozen=True)
class Rivals:
    arrays: dict
    device: str = "cpu"

    def __getitem__(self, name):
        tensor = torch.from_numpy(np.asarray(self.arrays[name]))
        return tensor.to(self.device, torch.float64 if tensor.is_floating_point() else None)

    def __contains__(self, name):
        return name in self.arrays

    def logits(self, prefix, step):
        found = self[f"{prefix}logits_{step}"]
        scale = self.arrays.get(f"{prefix}logits_scale", 1)  # the held-out file's
        return found.double() * float(scale)

    @property
    def classes(self):
        return len(self.arrays["image_count"])


@lru_cache
def load(file: Path, device="cpu") -> Rivals:
    return Rivals(dict(np.load(file)), device)


def golden_file(root: Path) -> Path:
    """Beside the project, as in conftest.py; it may be absent."""
    shared = Path(os.environ.get("LONGTAIL_SHARED", root.parent / "shared"))
    return shared / "golden" / "rivals_small.npz"


def cases(rivals: Rivals) -> list[dict]:
    """Those whose type has a file among the losses or calibrations."""
    every = json.loads(str(rivals.arrays["cases"]))
    return [case for case in every if has_file(case["type"])]


def has_file(kind) -> bool:
    return any((DETECTION / folder / f"{kind}.py").is_file() for folder in FOLDERS)


def build(case, rivals, rare=False):
    """A fresh object in float64; ``rare``: as if every class had been seen rarely."""
    given = {name: statistic(rivals, name, rare) for name in case.get("stats", ())}
    part = MODELS.build(
        dict(type=case["type"], num_classes=rivals.classes, **case["params"], **given)
    )
    part = part.double().to(rivals.device)
    if "epoch" in case:
        part.set_epoch(case["epoch"])
    return part


def statistic(rivals, name, rare):
    value = rivals.arrays[name].tolist()
    limit = {"image_count": RARE_IMAGES, "instance_count": RARE_INSTANCES}.get(name)
    return [min(count, limit) for count in value] if rare and limit else value


def arguments(case, rivals, step):
    """(logits, labels) and the keywords of a step's call."""
    prefix = case.get("inputs", "")
    logits = rivals.logits(prefix, step)[:, : case["width"]]
    labels = rivals[f"{prefix}labels_{step}"].long()
    more = {}
    if "uniform" in case:
        more["uniform"] = rivals[UNIFORM[case["uniform"]].format(step)]
    if case.get("instance"):
        more["instance"] = rivals[f"instance_{step}"]
    if "iter_id" in case:
        more["iter_id"] = case["iter_id"]
    return logits, labels, more


def call(loss, case, rivals, step, weight=None):
    """Value and gradient of one call."""
    logits, labels, more = arguments(case, rivals, step)
    weight = torch.ones(len(logits), device=rivals.device) if weight is None else weight
    counted = weight > 0
    if case.get("avg_factor") == "foreground":
        counted = counted & (labels < rivals.classes)
    logits = logits.clone().requires_grad_()
    value = loss(logits, labels, weight, avg_factor=max(int(counted.sum()), 1), **more)
    value = total(value)
    value.backward()
    return value.detach(), logits.grad


def total(value):
    if isinstance(value, dict):
        return sum(part for key, part in value.items() if "loss" in key)
    return value


def check(case, rivals):
    """``AssertionError`` names the first array that differs."""
    name = case["name"]
    if not case.get("posthoc"):
        check_steps(case, rivals)
        if f"{name}_w_loss" in rivals:
            weight = rivals[f"{case.get('inputs', '')}weights_0"]
            found = call(build(case, rivals), case, rivals, 0, weight)
            compare(rivals, found, f"{name}_w_loss", f"{name}_grad_w")
        if f"{name}_allrare_loss" in rivals:
            found = call(build(case, rivals, rare=True), case, rivals, 0)
            compare(rivals, found, f"{name}_allrare_loss", f"{name}_grad_allrare")
    logits, _, _ = arguments(case, rivals, 0)
    if f"{name}_activation" in rivals:
        part = build(case, rivals)
        assert_close(part.get_activation(logits), rivals[f"{name}_activation"], "activation")
    if not case.get("posthoc"):
        assert build(case, rivals).get_cls_channels(rivals.classes) == case["width"]


def check_steps(case, rivals):
    loss, name = build(case, rivals), case["name"]
    for step in range(STEPS):
        found = call(loss, case, rivals, step)
        compare(rivals, found, f"{name}_loss_{step}", f"{name}_grad_{step}")
        for state in case.get("state", ()):
            value = getattr(loss, state)
            value = value() if callable(value) else value
            assert_close(value, rivals[f"{name}_{state}_{step}"], f"{state} after step {step}")


def compare(rivals, found, *names):
    for value, name in zip(found, names, strict=True):
        assert_close(value, rivals[name], name)


def assert_close(found, expected, what):
    """|a - b| / (|b| + mean |b| of the non-zero entries) < ``TOLERANCE`` everywhere."""
    found, expected = found.double(), expected.double()
    assert found.shape == expected.shape, f"{what}: {found.shape} instead of {expected.shape}"
    entries = expected[expected != 0].abs()
    scale = entries.mean() if len(entries) else 1.0
    distance = ((found - expected).abs() / (expected.abs() + scale)).max().item()
    assert distance < TOLERANCE, f"{what} differs by {distance}"
