"""Every golden array of the rival methods that have a file is reproduced on the CPU."""

from pathlib import Path

import pytest
from rivals import cases, check, golden_file, load

FILE = golden_file(Path(__file__).resolve().parents[3])
KNOWN = cases(load(FILE)) if FILE.is_file() else []


@pytest.mark.skipif(not FILE.is_file(), reason=f"{FILE} is absent: set LONGTAIL_SHARED")
@pytest.mark.parametrize("case", KNOWN, ids=lambda case: case["name"])
def test_golden(case):
    check(case, load(FILE))


@pytest.mark.skipif(not FILE.is_file(), reason=f"{FILE} is absent: set LONGTAIL_SHARED")
def test_the_types_that_have_a_file_are_found():
    assert {"seesaw", "seesaw_mitigation"} <= {case["name"] for case in KNOWN}
