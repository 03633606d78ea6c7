"""params.yaml -> a complete mmengine Config for one training stage.

The numbers follow the official recipe [BACL:configs/bacl]; what params.yaml names is taken from
there, the detector from configs/detectors/.
"""

from mmengine.config import Config

import pipeline.training.transforms  # noqa: F401  (registers ours; a prediction needs none)
from pipeline.data.places import categories, image_folder, index_folder
from pipeline.detection.families import family_of
from pipeline.detection.model import build_model, detector_config
from pipeline.params import Classifier, Params
from pipeline.training import augmentation

# Logged every so many iterations; the same lines go to scalars.jsonl and to MLflow.
LOG_INTERVAL = 10
CUSTOM_IMPORTS = [
    "pipeline.detection",
    "pipeline.training.batches",
    "pipeline.compute.checkpoints",
    "pipeline.training.scalars",
    "pipeline.training.loop",
    "pipeline.training.phases",
]
PRECISIONS = {
    "fp32": dict(type="OptimWrapper"),
    "fp16": dict(type="AmpOptimWrapper", dtype="float16"),
    "bf16": dict(type="AmpOptimWrapper", dtype="bfloat16", loss_scale=1.0),
}
# Swin transformers are trained without weight decay on these [mmdet:configs/swin].
SWIN_DECAY = dict(
    custom_keys={
        "absolute_pos_embed": dict(decay_mult=0.0),
        "relative_position_bias_table": dict(decay_mult=0.0),
        "norm": dict(decay_mult=0.0),
    }
)


def build_config(params: Params, name: str, work_dir) -> Config:
    """The Config of the representation or classifier ``name``."""
    block = params.method(name)
    config = detector_config(params)
    config.model = build_model(params, block, config.model)
    masks = family_of(config.model).has_masks(config.model)
    config.train_dataloader = train_dataloader(params, block, masks)
    config.optim_wrapper = optimizer(params, block)
    config.param_scheduler = schedulers(params, block)
    config.train_cfg = dict(type="MicroBatchLoop", max_epochs=block.epochs, seed=params.seed)
    config.default_hooks, config.custom_hooks = hooks(block)
    config.update(runtime(params, work_dir))
    config.metainfo = dict(classes=[category["name"] for category in categories(params)])
    return config


def train_dataloader(params, block, masks):
    augment, scale = block.augmentation, params.detector.image_scale
    dataset = dict(
        type="LongTailDataset",
        ann_file=index_folder(params, "train"),
        data_prefix=dict(img=str(image_folder(params, "train"))),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=augmentation.load_transforms(augment, scale, masks),
    )
    return dict(
        batch_size=params.train.batch_size,
        sampler=sampler(block),
        batch_sampler=dict(type="TotalBatchSampler"),
        dataset=dict(
            type="SeededDataset",
            dataset=dataset,
            seed=params.seed,
            transforms=augmentation.mix_transforms(augment, scale, masks),
        ),
    )


def sampler(block):
    """Which images an epoch has: each once where the block says nothing."""
    if block.sampler is None:
        return dict(type="ShuffledSampler")
    return dict(type="DrawnSampler", rule=block.sampler.as_yaml())


def optimizer(params, block):
    train = params.train
    rate = train.learning_rate * block.learning_rate_factor
    if train.base_batch_size:
        rate *= train.batch_size / train.base_batch_size
    wrapper = PRECISIONS[train.precision]
    limit = train.clip_gradient if block.clip_gradient is None else block.clip_gradient
    clip = dict(max_norm=limit) if limit else None
    if train.optimizer == "adamw":
        adamw = dict(type="AdamW", lr=rate, betas=(0.9, 0.999), weight_decay=block.weight_decay)
        return dict(**wrapper, optimizer=adamw, paramwise_cfg=SWIN_DECAY, clip_grad=clip)
    momentum = 0.9 if train.momentum is None else train.momentum
    sgd = dict(type="SGD", lr=rate, momentum=momentum, weight_decay=block.weight_decay)
    return dict(**wrapper, optimizer=sgd, clip_grad=clip)


def schedulers(params, block):
    iters = params.train.warmup_iters if block.warmup_iters is None else block.warmup_iters
    warmup = dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=iters)
    steps = dict(
        type="MultiStepLR",
        begin=0,
        end=block.epochs,
        by_epoch=True,
        milestones=list(block.milestones),
        gamma=0.1,
    )
    return ([warmup] if iters else []) + [steps]


def hooks(block):
    default = dict(
        timer=dict(type="IterTimerHook"),
        logger=None,  # ScalarsHook prints and records
        param_scheduler=dict(type="ParamSchedulerHook"),
        checkpoint=dict(type="AtomicCheckpointHook"),
        sampler_seed=dict(type="DistSamplerSeedHook"),
    )
    custom = [
        dict(type="PhaseHook"),
        dict(type="StopOnNaN", interval=LOG_INTERVAL),
        dict(type="ScalarsHook", interval=LOG_INTERVAL),
    ]
    if isinstance(block, Classifier):
        custom.insert(0, dict(type="FreezeHook"))
    return default, custom


def runtime(params, work_dir):
    return dict(
        default_scope="mmdet",
        custom_imports=dict(imports=CUSTOM_IMPORTS),
        work_dir=str(work_dir),
        launcher="none",
        randomness=dict(seed=params.seed),
        env_cfg=dict(cudnn_benchmark=False, mp_cfg=dict(mp_start_method="fork")),
        log_processor=dict(type="LogProcessor", window_size=LOG_INTERVAL, by_epoch=True),
        visualizer=dict(type="Visualizer", vis_backends=None),
        log_level="WARNING",  # mmengine prints hundreds of lines about weights and settings
        resume=False,
        load_from=None,
    )
