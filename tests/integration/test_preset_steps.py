"""Every preset at its full size: one real step of each stage, one prediction, on real photos."""

import json
import math
import os
import subprocess
import sys

import pytest

SMALL = ("coco_lt_mini", "smoke", "symbols")  # run whole elsewhere
FAST = "lvis_v1_r50"


def large_presets(root):
    names = [path.stem for path in (root / "configs/presets").glob("*.yaml")]
    return sorted(set(names) - set(SMALL))


def run(preset, root, shared, folder, *options):
    """What benchmarks/preset_steps.py prints for one step."""
    script = str(root / "benchmarks/preset_steps.py")
    done = subprocess.run(
        [sys.executable, script, preset, str(shared), str(folder), *options],
        env={**os.environ, "PYTHONPATH": str(root), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True, text=True, timeout=1800,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def check(found, preset):
    masks = "mask" in preset
    assert len(found["losses"]) == 4
    for losses in found["losses"].values():
        assert {"loss_rpn_cls", "loss_rpn_bbox", "loss_cls", "loss_bbox"} <= set(losses)
        assert ("loss_mask" in losses) == masks
        assert all(math.isfinite(value) for value in losses.values())
    assert 0 < found["trained_in_classifier_stage"] < found["parameters"] / 3
    assert found["detections"]["boxes"] > 0
    assert (found["detections"]["masks"] is not None) == masks


def test_the_paper_s_row(root, shared, tmp_path):
    check(run(FAST, root, shared, tmp_path, "--batch", "1"), FAST)


@pytest.mark.slow
def test_every_other_preset(root, shared, tmp_path, monkeypatch):
    """One after the other: each takes gigabytes."""
    for preset in large_presets(root):
        if preset != FAST:
            folder = tmp_path / preset
            folder.mkdir()
            check(run(preset, root, shared, folder), preset)
