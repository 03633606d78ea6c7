"""Whatever is damaged of what users bring is refused in one clear line, or read right."""

import subprocess
import sys

import pytest

pytest.importorskip("lvis", reason="the fuzzer compares with the package lvis")

AREAS = ("annotations images", "params predictions")


def fuzz(root, areas, count, seed):
    """In a process of its own: the cases are forked, which goes ill beside running threads."""
    command = [sys.executable, "-m", "tests.fuzz", "--count", str(count), "--seed", str(seed)]
    done = subprocess.run(
        [*command, "--areas", *areas.split()], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("areas", AREAS)
def test_of_some_damages_none_falls_short(root, areas):
    fuzz(root, areas, 48, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("areas", AREAS)
@pytest.mark.parametrize("seed", range(1, 6))
def test_of_many_damages_none_falls_short(root, areas, seed):
    fuzz(root, areas, 400, seed)
