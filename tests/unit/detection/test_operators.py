"""The operators of a GPU without nvcc: which function is called, and that both give the same."""

import sys
from inspect import isfunction
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmcv import _ext
from mmcv.ops import batched_nms, get_compiling_cuda_version
from mmcv.ops.roi_align import roi_align
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from tiny_detector import build_detector, training_batch

from pipeline.detection import operators

NAMES = ("nms", "roi_align_forward", "roi_align_backward")
ON_GPU, ON_CPU = SimpleNamespace(is_cuda=True), SimpleNamespace(is_cuda=False)
ROI_ALIGN = dict(
    aligned_height=7, aligned_width=7, spatial_scale=0.25, sampling_ratio=0, aligned=True
)


@pytest.fixture
def torchvision(monkeypatch):
    """mmcv's module, with our functions in the place of its own on the CPU too, once called."""
    try:
        operators.kernels()
    except (ValueError, ImportError, RuntimeError) as error:
        pytest.skip(f"torchvision belongs to a CUDA build of torch, and is not here: {error}")
    return lambda: [monkeypatch.setattr(_ext, name, getattr(operators, name)) for name in NAMES]


def taken_over(monkeypatch):
    """A module of mmcv's that says who was called."""
    for name in NAMES:
        ours = lambda *arguments, name=name, **more: f"torchvision's {name}"  # noqa: E731
        ours.__name__ = name
        monkeypatch.setattr(operators, name, ours)
    theirs = {name: lambda *arguments, name=name, **more: f"mmcv's {name}" for name in NAMES}
    module = SimpleNamespace(**theirs)
    operators.take_over(module)
    return module


def test_tensors_on_a_gpu_go_to_torchvision_and_others_to_mmcv(monkeypatch):
    module = taken_over(monkeypatch)
    for name in NAMES:
        function = getattr(module, name)
        assert function(ON_GPU, None, offset=0) == f"torchvision's {name}"
        assert function(ON_CPU, None, offset=0) == f"mmcv's {name}"


def test_what_torchvision_lacks_stays_mmcv_s(monkeypatch):
    module = taken_over(monkeypatch)
    assert module.nms(ON_GPU, None, iou_threshold=0.5, offset=1) == "mmcv's nms"
    of_maxima = module.roi_align_forward(ON_GPU, **ROI_ALIGN, pool_mode=0)
    assert of_maxima == "mmcv's roi_align_forward"
    of_means = module.roi_align_forward(ON_GPU, **ROI_ALIGN, pool_mode=1)
    assert of_means == "torchvision's roi_align_forward"


def test_without_torchvision_the_remedy_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(ValueError, match="torchvision, which has them too, is not installed"):
        operators.kernels()


def test_only_an_mmcv_without_gpu_operators_beside_a_torch_with_gpus_is_changed():
    needed = bool(torch.version.cuda) and get_compiling_cuda_version() == "not available"
    assert [isfunction(getattr(_ext, name)) for name in NAMES] == [needed] * len(NAMES)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7, 1.0])
def test_nms_keeps_the_same_boxes(torchvision, threshold):
    torch.manual_seed(0)
    corner = torch.rand(3000, 2) * 300
    boxes = torch.cat([corner, corner + torch.rand(3000, 2) * 80], dim=1)
    call = boxes, torch.randperm(3000) / 3000, torch.randint(0, 5, (3000,))
    expected = batched_nms(*call, dict(type="nms", iou_threshold=threshold))
    torchvision()
    found = batched_nms(*call, dict(type="nms", iou_threshold=threshold))
    assert 0 < len(expected[1]) <= 3000
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("sampling", [0, 2])
def test_roi_align_pools_the_same(torchvision, sampling, aligned):
    torch.manual_seed(0)
    features = torch.randn(2, 8, 40, 30, requires_grad=True)
    corner = torch.rand(60, 2) * 180 - 20  # some begin or end outside
    boxes = torch.cat([corner, corner + torch.rand(60, 2) ** 4 * 150], dim=1)
    rois = torch.cat([torch.randint(0, 2, (60, 1)), boxes], dim=1)

    def run():
        pooled = roi_align(features, rois, 7, 0.25, sampling, "avg", aligned)
        weights = torch.linspace(-1, 1, pooled.numel()).reshape(pooled.shape)
        return pooled, torch.autograd.grad((pooled * weights).sum(), features)[0]

    expected = run()
    torchvision()
    torch.testing.assert_close(run(), expected, rtol=0, atol=0)


def test_masks_are_cropped_the_same(torchvision):
    generator = np.random.default_rng(0)
    masks = BitmapMasks((generator.random((6, 60, 80)) > 0.5).astype(np.uint8), 60, 80)
    corner = torch.rand(20, 2) * 40
    boxes = torch.cat([corner, corner + 1 + torch.rand(20, 2) * 30], dim=1)
    call = boxes, (28, 28), torch.arange(20) % 6
    expected = masks.crop_and_resize(*call, binarize=False).masks
    torchvision()
    np.testing.assert_array_equal(masks.crop_and_resize(*call, binarize=False).masks, expected)


def test_a_detector_with_masks_learns_the_same(torchvision, root):
    torch.manual_seed(0)
    config = Config.fromfile(root / "configs/detectors/faster_rcnn_r18_fpn.py")
    model = build_detector(config, masks=True)
    inputs, samples = training_batch()

    def losses():
        torch.manual_seed(1)
        return model.parse_losses(model.loss(inputs, samples))[1]

    with torch.no_grad():
        before = {key: value.clone() for key, value in model.state_dict().items()}
        expected = losses()
        model.load_state_dict(before)
        torchvision()
        torch.testing.assert_close(losses(), expected, rtol=0, atol=0)
