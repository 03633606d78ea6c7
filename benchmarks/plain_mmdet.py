"""The same detector, images and recipe by plain mmdet: its data set, its transforms, its loop.

Written as mmdet's own configs are [mmdet:configs/_base_, configs/lvis]; CopyPaste as in
[mmdet:configs/simple_copy_paste].
"""

from mmdet.utils import register_all_modules
from mmengine.runner import Runner

from pipeline.data.places import categories, data_folder, image_folder
from pipeline.detection.model import detector_config


def build_runner(settings, name, folder) -> Runner:
    """A runner of mmengine for the representation ``name`` of ``settings``."""
    register_all_modules()
    block, train = settings.representation[name], settings.train
    sgd = dict(type="SGD", lr=train.learning_rate, momentum=0.9, weight_decay=block.weight_decay)
    return Runner(
        model=model(settings, block),
        work_dir=str(folder),
        train_dataloader=loader(settings, block.augmentation),
        train_cfg=dict(type="EpochBasedTrainLoop", max_epochs=block.epochs),
        optim_wrapper=dict(type="OptimWrapper", optimizer=sgd),
        param_scheduler=[
            dict(type="LinearLR", start_factor=0.001, by_epoch=False, end=train.warmup_iters),
            dict(type="MultiStepLR", by_epoch=True, milestones=list(block.milestones)),
        ],
        default_hooks=dict(checkpoint=None),
        env_cfg=dict(cudnn_benchmark=False, mp_cfg=dict(mp_start_method="fork")),
        default_scope="mmdet",
        log_level="WARNING",
        randomness=dict(seed=settings.seed),
    )


def model(settings, block) -> dict:
    """The detector's config with mmdet's own heads in the place of the project's."""
    config = detector_config(settings).model
    config["rpn_head"]["type"] = "RPNHead"
    config["train_cfg"]["rpn_proposal"].update(
        max_per_img=block.proposals or 1000, nms_pre=max(2000, block.proposals or 0)
    )
    head = config["roi_head"]
    head["type"] = "StandardRoIHead"
    head["bbox_roi_extractor"]["type"] = "SingleRoIExtractor"
    head["bbox_head"].update(
        type="Shared2FCBBoxHead",
        num_classes=len(categories(settings)),
        loss_cls=dict(type="CrossEntropyLoss", use_sigmoid=block.loss.type == "bce"),
    )
    return config


def loader(settings, augmentation) -> dict:
    images = dict(
        type="CocoDataset",
        ann_file=str(data_folder(settings) / "train.json"),
        data_prefix=dict(img=str(image_folder(settings, "train"))),
        metainfo=dict(classes=[category["name"] for category in categories(settings)]),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=transforms(augmentation, settings.detector.image_scale),
    )
    if augmentation.copy_paste:
        paste = dict(type="CopyPaste", max_num_pasted=augmentation.copy_paste)
        kept = dict(type="FilterAnnotations", min_gt_bbox_wh=(1e-2, 1e-2), keep_empty=False)
        mixing = [paste, kept, dict(type="PackDetInputs")]
        images = dict(type="MultiImageMixDataset", dataset=images, pipeline=mixing)
    workers = settings.compute.workers
    return dict(
        batch_size=settings.train.batch_size,
        num_workers=workers,
        persistent_workers=workers > 0,
        sampler=dict(type="DefaultSampler", shuffle=True),
        batch_sampler=None if augmentation.copy_paste else dict(type="AspectRatioBatchSampler"),
        dataset=images,
    )


def transforms(augmentation, image_scale) -> list[dict]:
    read = [
        dict(type="LoadImageFromFile"),
        dict(type="LoadAnnotations", with_bbox=True, with_mask=augmentation.copy_paste > 0),
    ]
    flip = dict(type="RandomFlip", prob=augmentation.flip)
    if augmentation.short_edges:
        scales = [(max(image_scale), edge) for edge in augmentation.short_edges]
        resize = dict(type="RandomChoiceResize", scales=scales, keep_ratio=True)
        return [*read, resize, flip, dict(type="PackDetInputs")]
    canvas = tuple(augmentation.canvas)
    return [
        *read,
        dict(
            type="RandomResize", scale=canvas, keep_ratio=True,
            ratio_range=tuple(augmentation.scale_jitter),
        ),
        dict(
            type="RandomCrop", crop_size=canvas[::-1], recompute_bbox=True, allow_negative_crop=True
        ),
        dict(type="FilterAnnotations", min_gt_bbox_wh=(1e-2, 1e-2), keep_empty=False),
        flip,
        dict(type="Pad", size=canvas),
    ]  # fmt: skip
