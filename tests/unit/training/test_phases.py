"""The hooks in mmengine's own runner: phases, freezing, and the stop on a broken loss."""

import copy
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from tiny_detector import build_detector, training_batch

import pipeline.detection  # noqa: F401
from pipeline.detection.families import layers
from pipeline.params.methods import LAYERS
from pipeline.training.phases import check_layers, freeze

BATCHES = 2


def items(objects=3):
    """Images of 0..255 and their samples, as a data set of single items."""
    inputs, samples = training_batch(objects, images=2 * BATCHES)
    pixels = (inputs * 50 + 128).clamp(0, 255).to(torch.uint8)
    return [dict(inputs=p, data_samples=s) for p, s in zip(pixels, samples, strict=True)]


def run(model, folder, hooks, data=None, epochs=1, rate=0.01, **arguments):
    runner = Runner(
        model=model,
        work_dir=str(folder),
        experiment_name=f"{folder.name}-{epochs}-{rate}",
        train_dataloader=dict(
            batch_size=2,
            dataset=data or items(),
            sampler=dict(type="DefaultSampler", shuffle=False),
            collate_fn=dict(type="pseudo_collate"),
        ),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        optim_wrapper=dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=rate)),
        custom_hooks=[dict(type=hook) if isinstance(hook, str) else hook for hook in hooks],
        default_scope="mmdet",
        **arguments,
    )
    runner.train()
    return runner


@pytest.fixture(scope="module")
def config(root):
    torch.manual_seed(0)
    return Config.fromfile(root / "configs" / "detectors" / "faster_rcnn_r18_fpn.py")


def changed(before, after):
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_only_the_heads_train_and_bn_statistics_stay(config, tmp_path):
    model = build_detector(config, masks=True)
    freeze(model, LAYERS)
    before = copy.deepcopy(model.state_dict())
    run(model, tmp_path, ["PhaseHook", "FreezeHook"], epochs=2)
    trained = changed(before, model.state_dict())
    allowed = ("rpn_head.", "roi_head.mask_head.", "roi_head.bbox_head.fc_cls.",
               "roi_head.bbox_head.fc_reg.", "roi_head.bbox_head.loss_cls.",
               "roi_head.hallucination.")  # fmt: skip
    assert all(name.startswith(allowed) for name in trained), sorted(trained)
    for part in allowed:
        assert any(name.startswith(part) for name in trained), part
    assert model.roi_head.bbox_head.fc_cls.training
    assert not model.backbone.training


def test_without_the_hook_everything_trains(config, tmp_path):
    model = build_detector(config)
    before = copy.deepcopy(model.state_dict())
    run(model, tmp_path, [])
    trained = changed(before, model.state_dict())
    assert "backbone.bn1.running_mean" in trained
    assert "roi_head.bbox_head.shared_fcs.0.weight" in trained


@pytest.mark.parametrize("trained", [["fc_cls"], ["fc_reg", "rpn"], ["mask_head", "fc_cls"]])
def test_exactly_the_named_layers_learn(config, tmp_path, trained):
    model = build_detector(config, masks=True)
    freeze(model, trained)
    found = layers(model)
    before = {name: copy.deepcopy(module.state_dict()) for name, module in found.items()}
    rest = {name: p.clone() for name, p in model.named_parameters() if not p.requires_grad}
    run(model, tmp_path, ["FreezeHook"])
    for name, module in found.items():
        assert bool(changed(before[name], module.state_dict())) == (name in trained), name
        assert module.training == (name in trained), name
    parameters = dict(model.named_parameters())
    assert all(torch.equal(parameters[name], value) for name, value in rest.items())
    assert not model.neck.training


def test_what_a_layer_keeps_from_learning_stays_so(config):
    model = build_detector(config)
    model.roi_head.bbox_head.fc_cls.weight.requires_grad_(False)
    freeze(model, ["fc_cls"])
    assert [name for name, p in model.named_parameters() if p.requires_grad] == [
        "roi_head.bbox_head.fc_cls.bias"
    ]


def test_a_layer_that_the_detector_lacks_is_named_unless_all_are_meant(config):
    model = build_detector(config)
    block = SimpleNamespace(train=LAYERS, reinit=())
    check_layers(model, "crt", block)
    block.train = ["fc_cls", "mask_head"]
    with pytest.raises(
        ValueError, match=r"classifier\.crt\.train names mask_head, .* has: fc_cls,"
    ):
        check_layers(model, "crt", block)
    block.train, block.reinit = LAYERS, ["mask_head"]
    with pytest.raises(ValueError, match=r"classifier\.crt\.reinit names mask_head"):
        check_layers(model, "crt", block)


def test_a_resumed_run_is_in_phase(config, tmp_path):
    late = dict(type="fcbl", weight_start_epoch=1)
    hooks = ["PhaseHook"]
    first = build_detector(config, late, hallucination=dict(start_epoch=2))
    run(first, tmp_path, hooks, epochs=1)
    assert not first.roi_head.bbox_head.loss_cls.weight_active
    resumed = build_detector(config, late, hallucination=dict(start_epoch=2))
    run(resumed, tmp_path, hooks, epochs=2, resume=True)
    assert resumed.roi_head.bbox_head.loss_cls.weight_active
    assert not resumed.roi_head.hallucination.active
    assert not resumed.roi_head.hallucination.seen.any()


@pytest.mark.parametrize("interval", [1, 50])
def test_a_broken_loss_stops_the_training_with_its_name(config, tmp_path, interval):
    model = build_detector(config)
    torch.nn.init.constant_(model.roi_head.bbox_head.fc_reg.bias, float("nan"))
    with pytest.raises(ValueError, match=r"loss_bbox is nan at iteration 1; lower train\.learning"):
        run(model, tmp_path, [dict(type="StopOnNaN", interval=interval)])
    assert not list(tmp_path.glob("epoch_*.pth"))
