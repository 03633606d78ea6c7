"""Which machine and which software it is."""

import importlib.metadata
import platform

import torch
from mmcv.ops import get_compiling_cuda_version

from pipeline.training.environment import cpu_name

PACKAGES = ("torch", "torchvision", "onedl-mmcv", "onedl-mmengine", "onedl-mmdetection")


def about(device):
    on_gpu = device == "cuda" and torch.cuda.is_available()
    return {
        "device": torch.cuda.get_device_name() if on_gpu else cpu_name(),
        "cuda": torch.version.cuda if on_gpu else None,
        "driver": driver() if on_gpu else None,
        "GPUs": torch.cuda.device_count() if on_gpu else 0,
        "mmcv's CUDA": get_compiling_cuda_version(),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def driver():
    import pynvml

    pynvml.nvmlInit()
    return pynvml.nvmlSystemGetDriverVersion()


def version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
