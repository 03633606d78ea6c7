"""The resolved configs of the published rows, value by value, against the official recipe.

Expected values: BACL:configs/bacl and BACL:configs/_base_, as mmdet 3 spells them.
"""

from dataclasses import replace

import pytest
from mmdet.registry import MODELS

from pipeline import params
from pipeline.data.categories import write_categories
from pipeline.detection.model import test_settings as settings_of_test
from pipeline.params.methods import LAYERS
from pipeline.params.parts import Sampler
from pipeline.training.phases import freeze
from pipeline.training.recipe import build_config
from pipeline.training.train import build_model

CLASSES = {"v1": 1203, "v0.5": 1230}
EDGES = [(1333, edge) for edge in range(640, 801, 32)]
ROWS = [(version, depth) for version in CLASSES for depth in (50, 101)]


def config_of(preset, method, root, folder, monkeypatch, classes):
    monkeypatch.chdir(folder)
    settings = params.load(root / "configs" / "presets" / f"{preset}.yaml")
    names = [dict(id=k, name=f"class {k}", frequency="r", image_count=1, instance_count=1)
             for k in range(1, classes + 1)]  # fmt: skip
    write_categories(folder / "data" / settings.data.name / "categories.csv", names)
    return build_config(settings, method, "work")


@pytest.fixture(params=ROWS, ids=lambda row: f"{row[0]}-r{row[1]}")
def row(request, root, tmp_path, monkeypatch):
    """method -> its resolved config, and what the row says."""
    version, depth = request.param

    def resolve(method):
        preset = f"lvis_{version}_r{depth}"
        return config_of(preset, method, root, tmp_path, monkeypatch, CLASSES[version])

    return resolve, CLASSES[version], depth


def transforms(config):
    dataset = config.train_dataloader.dataset
    return [*dataset.dataset.pipeline, *dataset.transforms]


def check_schedule(config, epochs, milestones, weight_decay):
    assert config.optim_wrapper.optimizer == dict(
        type="SGD", lr=0.02, momentum=0.9, weight_decay=weight_decay
    )
    assert config.optim_wrapper.clip_grad is None
    assert config.optim_wrapper.type == "OptimWrapper"
    assert config.train_dataloader.batch_size == 16
    assert config.train_cfg.max_epochs == epochs
    warmup, steps = config.param_scheduler
    assert (warmup.type, warmup.start_factor, warmup.end) == ("LinearLR", 0.001, 500)
    assert not warmup.by_epoch
    assert (steps.type, steps.milestones, steps.gamma) == ("MultiStepLR", milestones, 0.1)


def check_multi_scale(config):
    assert transforms(config) == [
        dict(type="LoadImage"),
        dict(type="LoadObjects", masks=False),
        dict(type="RandomChoiceResize", scales=EDGES, keep_ratio=True),
        dict(type="FilterAnnotations", min_gt_bbox_wh=(1e-2, 1e-2), keep_empty=False),
        dict(type="FlipImage", prob=0.5),
        dict(type="SplitColours"),
        dict(type="PackDetInputs"),
    ]


def check_model(config, classes, depth):
    model = config.model
    assert model.type == "FasterRCNN"
    assert (model.backbone.type, model.backbone.depth) == ("ResNet", depth)
    assert model.backbone.frozen_stages == 1 and model.backbone.norm_eval
    assert model.backbone.norm_cfg == dict(type="BN", requires_grad=True)
    head = model.roi_head.bbox_head
    assert head.num_classes == head.loss_cls.num_classes == classes
    assert not head.reg_class_agnostic and head.loss_bbox.type == "L1Loss"
    sampler = model.train_cfg.rcnn.sampler
    assert (sampler.num, sampler.pos_fraction, sampler.add_gt_as_proposals) == (512, 0.25, True)
    assert model.test_cfg.rpn.max_per_img == 1000
    normal = model.data_preprocessor
    assert normal.mean == [123.675, 116.28, 103.53] and normal.std == [58.395, 57.12, 57.375]
    assert normal.bgr_to_rgb and normal.pad_size_divisor == 32


@pytest.mark.parametrize(
    ("method", "epochs", "milestones"),
    [("softmax_1x", 12, [8, 11]), ("softmax_2x", 24, [16, 22])],
)
def test_baseline(row, method, epochs, milestones):
    resolve, classes, depth = row
    config = resolve(method)
    check_schedule(config, epochs, milestones, 1e-4)
    check_multi_scale(config)
    check_model(config, classes, depth)
    assert config.model.roi_head.bbox_head.loss_cls.type == "cross_entropy"
    assert config.model.roi_head.bbox_head.prior is None
    assert config.model.train_cfg.rpn_proposal.max_per_img == 1000
    assert config.model.roi_head.type == "StandardRoIHead"


def test_representation(row):
    resolve, classes, depth = row
    config = resolve("bce")
    check_schedule(config, 12, [8, 11], 5e-5)
    check_model(config, classes, depth)
    assert transforms(config) == [
        dict(type="LoadImage"),
        dict(type="LoadObjects", masks=True),
        dict(type="RandomResize", scale=(1280, 1280), ratio_range=(0.8, 1.25), keep_ratio=True),
        dict(
            type="RandomCrop",
            crop_type="absolute",
            crop_size=(1280, 1280),
            recompute_bbox=True,
            allow_negative_crop=True,
        ),
        dict(type="FilterAnnotations", min_gt_bbox_wh=(1e-2, 1e-2), keep_empty=False),
        dict(type="FlipImage", prob=0.5),
        dict(type="Pad", size=(1280, 1280)),
        dict(
            type="PasteObjects",
            masks=False,
            max_num_pasted=100,
            bbox_occluded_thr=10,
            mask_occluded_thr=300,
        ),
        # not in the official recipe: CopyPaste can leave an empty box
        dict(type="FilterAnnotations", min_gt_bbox_wh=(1e-2, 1e-2), keep_empty=False),
        dict(type="SplitColours"),
        dict(type="PackDetInputs"),
    ]
    assert config.model.roi_head.bbox_head.loss_cls == dict(type="bce", num_classes=classes)
    assert config.model.roi_head.bbox_head.prior == 0.001
    assert config.model.train_cfg.rpn_proposal.max_per_img == 2000
    assert config.model.train_cfg.rpn_proposal.nms_pre == 2000


def test_classifier(row):
    resolve, classes, depth = row
    config = resolve("bacl")
    check_schedule(config, 12, [8, 11], 1e-4)
    check_multi_scale(config)
    check_model(config, classes, depth)
    assert config.model.roi_head.bbox_head.loss_cls == dict(
        type="fcbl", num_classes=classes, alpha=0.85, prob_thr=0.7, margin=True, weight=True,
        weight_start_epoch=0,
    )  # fmt: skip
    assert config.model.roi_head.features == dict(
        type="hallucination", decay_ratio=0.1, sampled_classes=8, samples_per_class=12,
        max_boxes_per_image=100, start_epoch=0,
    )  # fmt: skip
    assert config.model.train_cfg.rpn_proposal.max_per_img == 2000
    assert dict(type="FreezeHook") in config.custom_hooks


def test_initial_bias_and_what_is_frozen(root, tmp_path, monkeypatch):
    """On the real R50 model: the two things that no config value shows."""
    config = config_of("lvis_v1_r50", "bacl", root, tmp_path, monkeypatch, 1203)
    model = build_model(config)
    freeze(model, LAYERS)
    free = {name.rsplit(".", 1)[0] for name, p in model.named_parameters() if p.requires_grad}
    assert free == {
        "rpn_head.rpn_conv", "rpn_head.rpn_cls", "rpn_head.rpn_reg",
        "roi_head.bbox_head.fc_cls", "roi_head.bbox_head.fc_reg",
    }  # fmt: skip
    head = MODELS.build({**config.model.roi_head.bbox_head, "prior": 0.001})
    head.init_weights()
    assert head.fc_cls.bias.detach().numpy() == pytest.approx(-6.9068, abs=1e-3)
    assert head.fc_cls.weight.shape == (1204, 1024)
    assert head.fc_cls.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert head.fc_reg.out_features == 4 * 1203


def test_warm_up_and_clipping_of_a_block_go_before_those_of_train(root, tmp_path, monkeypatch):
    config_of("lvis_v1_r50", "bce", root, tmp_path, monkeypatch, 3)  # the categories
    settings = params.load(root / "configs/presets/lvis_v1_r50.yaml")
    settings = replace(settings, train=replace(settings.train, clip_gradient=7.0))

    def resolved(**block):
        changed = {"bce": replace(settings.representation["bce"], **block)}
        methods = {**settings.representation, **changed}
        config = build_config(replace(settings, representation=methods), "bce", "work")
        return config.param_scheduler, config.optim_wrapper.clip_grad

    (warmup, _), clip = resolved()
    assert (warmup.end, clip) == (500, dict(max_norm=7.0))
    (warmup, _), clip = resolved(warmup_iters=10_000, clip_gradient=5.0)
    assert (warmup.end, clip) == (10_000, dict(max_norm=5.0))
    assert len(resolved(warmup_iters=0)[0]) == 1


def test_a_sampler_is_handed_on_with_all_its_knobs(root, tmp_path, monkeypatch):
    plain = config_of("lvis_v1_r50", "bce", root, tmp_path, monkeypatch, 3)
    assert plain.train_dataloader.sampler == dict(type="ShuffledSampler")
    settings = params.load(root / "configs/presets/lvis_v1_r50.yaml")
    rfs = Sampler.from_yaml({"type": "repeat_factor"}, "sampler")
    blocks = {name: replace(b, sampler=rfs) for name, b in settings.representation.items()}
    config = build_config(replace(settings, representation=blocks), "bce", "work")
    rule = dict(type="repeat_factor", threshold=0.001, rounding="up")
    assert config.train_dataloader.sampler == dict(type="DrawnSampler", rule=rule)


def test_learning_rate_scales_with_the_total_batch(root, tmp_path, monkeypatch):
    monkeypatch.chdir(root)
    text = (root / "configs/presets/lvis_v1_r50.yaml").read_text(encoding="utf-8")
    (tmp_path / "configs/presets").mkdir(parents=True)
    small = text.replace("batch_size: 16 # the total", "batch_size: 4")
    (tmp_path / "configs/presets/small.yaml").write_text(small, encoding="utf-8")
    config = config_of("small", "bce", tmp_path, tmp_path, monkeypatch, 1203)
    assert config.optim_wrapper.optimizer.lr == pytest.approx(0.005)


@pytest.mark.parametrize(
    ("preset", "classes"), [("lvis_v1_swin_t", 1203), ("lvis_v0.5_swin_s", 1230)]
)
def test_swin(preset, classes, root, tmp_path, monkeypatch):
    """AdamW as in the Swin branch; scores, limits and prior as in the paper's other rows."""
    config = config_of(preset, "bacl", root, tmp_path, monkeypatch, classes)
    wrapper = config.optim_wrapper
    assert wrapper.optimizer == dict(type="AdamW", lr=1e-4, betas=(0.9, 0.999), weight_decay=0.05)
    keys = ("absolute_pos_embed", "relative_position_bias_table", "norm")
    assert wrapper.paramwise_cfg.custom_keys == {key: dict(decay_mult=0.0) for key in keys}
    assert config.param_scheduler[0].end == 1000
    assert config.model.backbone.depths[2] == (6 if preset.endswith("t") else 18)


def test_mask_rcnn(root, tmp_path, monkeypatch):
    config = config_of("lvis_v1_mask_r50", "bacl", root, tmp_path, monkeypatch, 1203)
    head = config.model.roi_head.mask_head
    assert (head.num_classes, head.predictor_cfg.type) == (1203, "NormedConv2d")
    assert transforms(config)[1].masks
    assert config.model.test_cfg.rcnn.mask_thr_binary == 0.5
    baseline = config_of("lvis_v1_mask_r50", "softmax_2x", root, tmp_path, monkeypatch, 1203)
    assert transforms(baseline)[1].masks


@pytest.mark.parametrize("preset", ["lvis_v1_r50", "lvis_v0.5_r101", "lvis_v1_swin_t"])
def test_boxes_are_chosen_as_in_the_paper(preset, root):
    settings = params.load(root / f"configs/presets/{preset}.yaml")
    assert settings_of_test(settings) == dict(
        score_thr=1e-4, nms=dict(type="nms", iou_threshold=0.5), max_per_img=300
    )
