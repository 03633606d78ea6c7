"""Every golden array of the official code is reproduced on the CPU."""

import pytest
from golden import CHECKS, Golden


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_golden(check, shared):
    check(Golden(shared / "golden" / "bacl_small.npz", "cpu"))


def test_every_array_is_read(shared):
    golden = Golden(shared / "golden" / "bacl_small.npz", "cpu")
    for check in CHECKS:
        check(golden)
    assert golden.read | {"meta"} == set(golden.arrays.files)
