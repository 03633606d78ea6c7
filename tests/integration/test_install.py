"""`make install` on four kinds of machines: what it compiles mmcv for, and what it adds.

The packages are stubs, and pip writes down how it is called; make and its checks are the real ones.
"""

import os
import shutil
import subprocess
import sys

import pytest

FAKE_PYTHON = """#!/bin/sh
if [ "$2" = venv ]; then mkdir -p "$3/bin" && cp tools/* "$3/bin"; else exec {python} "$@"; fi
"""
FAKE_PIP = """#!/bin/sh
echo "$* [${CUDA_VISIBLE_DEVICES-all} ${FORCE_CUDA-unset}]" >> pip.log
"""
MMCV = "install --no-build-isolation onedl-mmcv==2.3.6"


def script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def machine(folder, root, cuda, nvcc, mmcv):
    """A folder whose python sees a torch of this CUDA, an nvcc of that and mmcv's operators."""
    shutil.copy(root / "Makefile", folder)
    (folder / "pyproject.toml").touch()
    for name, text in {
        "python": FAKE_PYTHON.format(python=sys.executable),
        "pip": FAKE_PIP,
    }.items():
        script(folder / "tools" / name, text)
    if nvcc:
        script(
            folder / "cuda/bin/nvcc", f"#!/bin/sh\necho 'Cuda compilation tools, release {nvcc}'"
        )
    home = str(folder / "cuda") if cuda else None
    for name, text in {
        "torch/__init__.py": "from . import version",
        "torch/version.py": f"cuda = {cuda!r}",
        "torch/utils/__init__.py": "",
        "torch/utils/cpp_extension.py": f"CUDA_HOME = {home!r}",
        "mmcv/__init__.py": "",
        "mmcv/ops.py": f"def get_compiling_cuda_version(): return {mmcv!r}",
    }.items():
        script(folder / "stubs" / name, text)


@pytest.mark.parametrize(
    ("cuda", "nvcc", "mmcv", "build", "added"),
    [
        ("13.0", None, "not available", "[ 0]", "[torchvision]"),
        ("13.0", "12.4, V12.4.131", "not available", "[ 0]", "[torchvision]"),
        ("13.0", "13.0, V13.0.88", "13.0", "[all 1]", ""),
        ("13.0", "13.0, V13.0.88", "not available", "[all 1]", "[torchvision]"),  # no GPU was seen
        (None, None, "not available", "[ 0]", ""),
    ],
)
def test_install(tmp_path, root, cuda, nvcc, mmcv, build, added):
    machine(tmp_path, root, cuda, nvcc, mmcv)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "stubs"), "FORCE_CUDA": "1"}
    environment.pop("CUDA_VISIBLE_DEVICES", None)
    subprocess.run(
        ["make", "install", "PYTHON=tools/python", "VENV=venv"],
        cwd=tmp_path, env=environment, check=True, capture_output=True,
    )  # fmt: skip
    calls = (tmp_path / "pip.log").read_text().splitlines()
    assert f"{MMCV} {build}" in calls
    assert f"install --editable .{added} [all 1]" in calls
