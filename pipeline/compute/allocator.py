"""What a process does with memory: freed tensors stay with it, and garbage is looked for rarely."""

import ctypes
import gc

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # malloc.h of glibc
TRIM = 2**31 - 1  # the largest that mallopt takes
PAD = 2**26
MANY_OBJECTS = 10_000


def look_for_garbage_rarely() -> None:
    """Importing torch and mmdet makes a million objects, and Python looks after every 700."""
    gc.set_threshold(MANY_OBJECTS)


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
