"""The same numbers as on the CPU: losses, hallucination, and mmcv's operators."""

from pkgutil import iter_modules

import torch
from mmcv.ops import batched_nms, get_compiling_cuda_version, roi_align
from mmdet.registry import MODELS
from torch.overrides import TorchFunctionMode

from pipeline.detection import losses as folder
from pipeline.detection.features.hallucination import FeatureHallucination
from pipeline.detection.losses.fcbl import FCBL
from pipeline.detection.model import config_of
from pipeline.detection.wiring import CLASSES, STATISTICS
from pipeline.params.parts import Loss

ROWS, FEATURES, STEPS = 300, 64, 3
TOLERANCE = {torch.float64: 1e-9, torch.float32: 1e-4}
NEW = ("rand", "randn", "rand_like", "randn_like", "randint", "randperm")
IN_PLACE = ("exponential_", "normal_", "uniform_", "bernoulli_", "random_")


class DrawnOnCpu(TorchFunctionMode):
    """Inside, random numbers are the CPU's, so that two devices draw the same."""

    def __torch_function__(self, function, types, arguments=(), named=None):
        named, name = dict(named or {}), getattr(function, "__name__", "")
        if name in NEW:
            given = next((a.device for a in arguments if isinstance(a, torch.Tensor)), None)
            device = named.pop("device", given)
            like = [on_cpu(a) if isinstance(a, torch.Tensor) else a for a in arguments]
            return function(*like, **named).to(device)
        if name in IN_PLACE:
            tensor, *rest = arguments
            return tensor.copy_(function(on_cpu(tensor), *rest, **named))
        return function(*arguments, **named)


def on_cpu(tensor):
    """Of its shape and type, with anything in it."""
    return torch.empty_like(tensor, device="cpu")


def losses(device):
    """Every loss with its defaults over three steps: value, gradient, scores, state."""
    found = {}
    for module in iter_modules(folder.__path__):
        config = config_of(Loss(module.name), CLASSES, STATISTICS.get)
        for dtype, tolerance in TOLERANCE.items():
            runs = [loss_steps(config, place, dtype) for place in ("cpu", device)]
            apart = max(map(distance, *runs))
            assert apart < tolerance, f"{module.name} differs by {apart:.1e} in {dtype}"
            found[module.name] = apart
    return {name: f"{apart:.0e}" for name, apart in found.items()}


def loss_steps(config, device, dtype):
    torch.manual_seed(0)
    loss = MODELS.build(config).to(device, dtype)
    results = []
    with DrawnOnCpu():
        for step in range(STEPS):
            logits, labels, weight = (rows.to(device) for rows in loss_inputs(loss, dtype, step))
            logits.requires_grad_()
            value = loss(logits, labels, weight, avg_factor=int(weight.sum()))
            if isinstance(value, dict):
                value = sum(part for name, part in value.items() if "loss" in name)
            value.backward()
            results += [value.detach(), logits.grad, loss.get_activation(logits.detach())]
    return results + list(loss.state_dict().values())


def loss_inputs(loss, dtype, step):
    """Rows as a detector has them: most are background, in the last step all, some count not."""
    labels = torch.randint(0, CLASSES, (ROWS,)).where(torch.rand(ROWS) < 0.3, CLASSES)
    if step == STEPS - 1:
        labels.fill_(CLASSES)
    weight = (torch.rand(ROWS) > 0.1).to(dtype)
    return torch.randn(ROWS, loss.get_cls_channels(CLASSES), dtype=dtype) * 3, labels, weight


def distance(found, expected) -> float:
    """The largest difference, by the largest value."""
    found, expected = found.detach().cpu().double(), expected.detach().cpu().double()
    assert found.shape == expected.shape, f"shapes {found.shape} and {expected.shape}"
    assert found.isfinite().equal(expected.isfinite()), "finite on one device alone"
    finite = expected.isfinite()
    apart = (found - expected)[finite].abs().max() if finite.any() else torch.zeros(())
    return (apart / expected[finite].abs().max().clamp(min=1e-12)).item() if apart else 0.0


def hallucination(device):
    """Jittered boxes, the statistics of three batches, and what is drawn from them."""
    found = {}
    for dtype, tolerance in TOLERANCE.items():
        runs = [hallucination_steps(place, dtype) for place in ("cpu", device)]
        found[str(dtype)] = max(map(distance, *runs))
        assert found[str(dtype)] < tolerance, f"differs by {found[str(dtype)]:.1e} in {dtype}"
    return {name: f"{apart:.0e}" for name, apart in found.items()}


def hallucination_steps(device, dtype):
    torch.manual_seed(0)
    module = FeatureHallucination(CLASSES, FEATURES).to(device, dtype)
    own_share = FCBL(CLASSES).to(device, dtype).own_share()
    results = []
    with DrawnOnCpu():
        for _ in range(STEPS):
            corner = torch.rand(150, 2, dtype=dtype) * 400
            boxes = torch.cat([corner, corner + 50], dim=1).to(device)
            labels = torch.randint(0, CLASSES, (150,)).to(device)
            jittered, jittered_labels = module.statistics_boxes(boxes, labels, (500, 500))
            embeddings = torch.randn(len(jittered), FEATURES, dtype=dtype).to(device)
            module.update(embeddings, jittered_labels)
            results += [jittered, jittered_labels, *module.draw(own_share)]
    return results + list(module.state_dict().values())


def operators(device):
    """NMS keeps the same boxes; RoIAlign gives the same features and gradients."""
    torch.manual_seed(0)
    corner = torch.randint(0, 300, (4000, 2))
    boxes = torch.cat([corner, corner + torch.randint(1, 90, (4000, 2))], dim=1).float()
    scores, groups = torch.randperm(4000) / 4000, torch.randint(0, 5, (4000,))
    kept = [
        batched_nms(*(t.to(place) for t in (boxes, scores, groups)), dict(iou_threshold=0.703))[1]
        for place in ("cpu", device)
    ]
    assert kept[0].equal(kept[1].cpu()), "NMS keeps other boxes"
    rois = torch.cat([torch.randint(0, 2, (500, 1)), boxes[:500]], dim=1)
    features = torch.randn(2, 16, 80, 80)
    apart = max(map(distance, *(pooled(features, rois, place) for place in ("cpu", device))))
    assert apart < 1e-4, f"RoIAlign differs by {apart:.1e}"
    of_mmcv = device == "cpu" or get_compiling_cuda_version() != "not available"
    by = "mmcv" if of_mmcv else "torchvision"
    return {"kept": len(kept[0]), "RoIAlign": f"{apart:.0e}", "by": by}


def pooled(features, rois, device):
    features = features.to(device).requires_grad_()
    result = roi_align(features, rois.to(device), 7, 0.25, 0, "avg", True)
    weights = torch.linspace(-1, 1, result.numel(), device=device).reshape(result.shape)
    return result, *torch.autograd.grad((result * weights).sum(), features)
