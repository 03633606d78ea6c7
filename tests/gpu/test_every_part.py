"""On a GPU: every part of benchmarks/gpu_check.py, half an hour together; shown with `-s`."""

import subprocess
import sys

import pytest
import torch

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"),
]


def test_no_part_fails(root, tmp_path):
    script = str(root / "benchmarks/gpu_check.py")
    done = subprocess.run([sys.executable, script, "--out", str(tmp_path)], timeout=2400)
    assert done.returncode == 0
