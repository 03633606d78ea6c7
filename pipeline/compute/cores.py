"""How many cores this process may use."""

import os
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")  # of a container: microseconds of CPU in a period, or max


def cores(quota: Path = QUOTA) -> int:
    """Those that the scheduler lets it run on, or fewer where a container has fewer; at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min(allowed, whole_cores(quota) or allowed))


def whole_cores(quota) -> int | None:
    """Of a container's limit; None without one."""
    try:
        most, period = quota.read_text().split()
    except (OSError, ValueError):
        return None
    return None if most == "max" else int(most) // int(period)
