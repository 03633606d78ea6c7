"""Whether this machine's devices are those that params.yaml asks for."""

import os

import torch

from pipeline.compute.allocator import keep_freed_memory


def take_device(gpus):
    """Check the device, and take one core: processes share a machine's cores, threads fight for
    them, and how many there were would be seen in the last digits."""
    check_device(gpus)
    torch.set_num_threads(1)
    keep_freed_memory()  # before workers are forked: they make images of megabytes


def in_device_order(model):
    """``model`` with its weights' channels last on a CPU, whose convolutions are faster so.

    Its feature maps leave the neck in the usual order: mmcv's RoIAlign would misread others.
    """
    if torch.cuda.is_available():
        return model
    maps = model.neck if model.with_neck else model.backbone
    maps.register_forward_hook(in_usual_order)
    return model.to(memory_format=torch.channels_last)


def in_usual_order(module, inputs, maps):
    return tuple(level.contiguous() for level in maps)


def check_device(gpus):
    """mmengine takes CUDA wherever it sees it; for ``gpus: 0`` it has been hidden by now."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if gpus == 0 and torch.cuda.is_available():
        raise ValueError("compute.gpus is 0, but a GPU is visible; set CUDA_VISIBLE_DEVICES=''")
    if gpus != 0 and visible and not torch.cuda.is_available():
        raise ValueError(
            f"torch {torch.__version__} cannot use the GPU {visible}; install torch's CUDA build, "
            "or set compute.gpus to 0"
        )


def check_precision(precision):
    """Mixed precision is CUDA's; on a CPU it would only be slower."""
    if precision != "fp32" and not torch.cuda.is_available():
        raise ValueError(f"train.precision is {precision}, which needs a GPU; set it to fp32")
    if precision == "bf16" and not torch.cuda.is_bf16_supported(False):  # without emulation
        raise ValueError(f"{torch.cuda.get_device_name()} has no bf16; set train.precision to fp16")
