"""Memory that a step frees stays with the process, and the next step need not ask for it again."""

import ctypes

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # malloc.h of glibc
TRIM = 2**31 - 1  # the largest that mallopt takes
PAD = 2**26


def keep_freed_memory() -> None:
    """Tell glibc neither to map large blocks one by one nor to give freed ones back.

    The kernel would clear every page of every tensor anew: a tenth of a small step on a CPU, a
    third of making a large training image. Other C libraries have no such setting, and stay as they
    are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        for name, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, TRIM), (M_TOP_PAD, PAD)):
            mallopt(name, value)
