"""How many cores this process may use."""

import math
import os
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of a container: microseconds of CPU in a period, or max


def cores(quota: Path = QUOTA) -> int:
    """Those that the scheduler lets it run on, or fewer where a container has fewer; at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(allowed, limit(quota)))


def limit(quota) -> float:
    """Whole cores of a container's limit; infinite without one."""
    try:
        most, period = quota.read_text().split()
    except (OSError, ValueError):
        return math.inf
    return math.inf if most == "max" else int(most) // int(period)
