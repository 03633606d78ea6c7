"""The Dockerfile: its steps in a fresh root, and that it and its ignore list keep up."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from fresh_root import PROJECT, instructions


def test_steps_are_read_whole():
    text = "ARG A=1\n# a note\nRUN one \\\n    # inside\n    && two\n\nUSER me\n"
    assert [(word, " ".join(rest.split())) for word, rest in instructions(text)] == [
        ("ARG", "A=1"),
        ("RUN", "one && two"),
        ("USER", "me"),
    ]


def test_cuda_of_the_base_image_is_the_one_noted_for_the_pinned_torch():
    text = (PROJECT / "Dockerfile").read_text()
    pinned = re.search(r"torch==([\d.]+)", (PROJECT / "pyproject.toml").read_text())[1]
    torch, cuda = re.search(r"torch ([\d.]+) requires cuda-toolkit ([\d.]+):", text).groups()
    assert torch == pinned
    assert f"nvidia/cuda:{cuda}-devel" in text


def test_nothing_that_git_ignores_enters_the_image():
    ignored = {line.strip("/") for line in (PROJECT / ".gitignore").read_text().split()}
    listed = (PROJECT / ".dockerignore").read_text().splitlines()
    kept_out = {line.removeprefix("**").strip("/") for line in listed if not line.startswith("#")}
    assert ignored - kept_out == set()
    assert {".dvc/cache", ".dvc/tmp"} <= kept_out


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="chroot: needs root")
@pytest.mark.skipif(not shutil.which("debootstrap"), reason="needs `apt-get install debootstrap`")
def test_the_steps_make_a_fresh_root_that_runs_the_chain(tmp_path):
    root = tmp_path / "root"
    command = [sys.executable, PROJECT / "tests/tools/fresh_root.py", root, "--then", "make smoke"]
    subprocess.run(command, check=True)
    page = root / "project/.smoke/reports/index.html"
    assert page.is_file()
    assert page.stat().st_uid != 0
