"""NMS and RoIAlign on a GPU where mmcv was compiled without nvcc: torchvision's kernels.

Everything in mmdet that chooses boxes, pools features or crops masks ends in three functions of
mmcv's compiled module. On such a machine these take torchvision's kernels for tensors on a GPU;
both packages have them from one source. What torchvision lacks (boxes that include their last
pixel, pooling by the maximum) goes on to mmcv, which says that it has no such operator.
"""

from importlib import import_module

import torch
from mmcv import _ext
from mmcv.ops import get_compiling_cuda_version

ABSENT = "not available"


def nms(boxes, scores, iou_threshold, offset):
    """Indices [K] of the boxes [N, 4] that stay, by falling ``scores`` [N]."""
    return kernels().nms(boxes, scores, iou_threshold)


def roi_align_forward(
    features, rois, output, argmax_y, argmax_x, aligned_height, aligned_width, **more
):
    """Fill ``output`` [M, C, height, width] from ``features`` [B, C, H, W] and ``rois`` [M, 5]."""
    size = aligned_height, aligned_width
    scale, sampling, aligned = (more[k] for k in ("spatial_scale", "sampling_ratio", "aligned"))
    output.copy_(kernels().roi_align(features, rois, scale, *size, sampling, aligned))


def roi_align_backward(
    gradient, rois, argmax_y, argmax_x, output, aligned_height, aligned_width, **more
):
    """Fill ``output`` [B, C, H, W] from the ``gradient`` [M, C, height, width]."""
    size = aligned_height, aligned_width, *output.shape
    scale, sampling, aligned = (more[k] for k in ("spatial_scale", "sampling_ratio", "aligned"))
    backward = kernels()._roi_align_backward
    output.copy_(backward(gradient, rois, scale, *size, sampling, aligned))


def kernels():
    """Those of torchvision. Imported by its name: a version of its own would make a stage's result
    another one, but it is bound to torch's, which counts."""
    try:
        import_module("torchvision")
    except ModuleNotFoundError:
        raise ValueError(
            "mmcv was compiled without operators for GPUs, and torchvision, which has them too, is "
            "not installed; remove .venv/installed and run `make install`"
        ) from None
    return torch.ops.torchvision


def instead(function, of_mmcv):
    """``of_mmcv``, but ``function`` for tensors on a GPU where it can stand in."""

    def choose(tensor, *arguments, **named):
        lacks = named.get("offset") == 1 or named.get("pool_mode") == 0
        chosen = function if tensor.is_cuda and not lacks else of_mmcv
        return chosen(tensor, *arguments, **named)

    return choose


def take_over(module) -> None:
    """Put the three functions into mmcv's compiled ``module``, in front of its own."""
    for function in (nms, roi_align_forward, roi_align_backward):
        name = function.__name__
        setattr(module, name, instead(function, getattr(module, name)))


if torch.version.cuda and get_compiling_cuda_version() == ABSENT:
    take_over(_ext)
