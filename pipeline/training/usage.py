"""How busy the machine is while it trains, under the names that MLflow's UI shows as such."""

import contextlib

import psutil
import torch

MEGABYTE = 2**20


def system_usage() -> dict[str, float]:
    """Percent and megabytes of the CPU since the last call, and of each GPU of this stage."""
    memory = psutil.virtual_memory()
    usage = {
        "system/cpu_utilization_percentage": psutil.cpu_percent(),
        "system/system_memory_usage_megabytes": memory.used / MEGABYTE,
        "system/system_memory_usage_percentage": memory.percent,
        "system/process_memory_usage_megabytes": process_memory() / MEGABYTE,
    }
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            usage |= gpu_usage(number)
    return usage


def process_memory() -> int:
    """Bytes of this process and its data-loading workers; pages they share count for each."""
    own = psutil.Process()
    total = 0
    for process in (own, *own.children(recursive=True)):
        with contextlib.suppress(psutil.Error):  # a worker has just ended
            total += process.memory_info().rss
    return total


def gpu_usage(number) -> dict[str, float]:
    """Of the stage's GPU ``number``; only its memory where the driver does not tell the rest."""
    free, total = torch.cuda.mem_get_info(number)
    usage = {
        "memory_usage_megabytes": (total - free) / MEGABYTE,
        "memory_usage_percentage": 100 * (total - free) / total,
    }
    try:
        usage["utilization_percentage"] = torch.cuda.utilization(number)
        usage["power_usage_watts"] = torch.cuda.power_draw(number) / 1000
    except (RuntimeError, ModuleNotFoundError):  # a MIG instance has neither
        pass
    return {f"system/gpu_{number}_{key}": float(value) for key, value in usage.items()}
