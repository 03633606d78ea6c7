"""Both stages of the paper's row on a GPU, in fp32 and bf16; the figures are printed (`-s`)."""

import json
import math
import os
import subprocess
import sys

import pytest
import torch

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_both_stages_train(root, shared, tmp_path, precision):
    script = str(root / "benchmarks/preset_steps.py")
    options = ("--steps", "40", "--batch", "8", "--images-per-gpu", "4", "--precision", precision)
    done = subprocess.run(
        [sys.executable, script, "lvis_v1_r50", str(shared), str(tmp_path), *options],
        env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, text=True, timeout=1800,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    print(json.dumps(found))
    assert found["device"] != "CPU"
    for losses in found["losses"].values():
        assert all(math.isfinite(value) for value in losses.values())
