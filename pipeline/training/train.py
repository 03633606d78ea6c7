"""Train one method, on one rank or several, to a finished model in its run folder."""

import json
import shutil
from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.dist import (
    barrier,
    broadcast_object_list,
    get_rank,
    get_world_size,
    is_distributed,
)
from mmengine.registry import FUNCTIONS, init_default_scope
from mmengine.runner import Runner, set_random_seed

import pipeline.training.batches  # noqa: F401  (registers the samplers with mmengine)
from pipeline.compute.checkpoints import Stopped, checkpoint_files
from pipeline.compute.run_folder import training_folder
from pipeline.compute.signals import Preempted, asked_to_stop, survive_signals, workers_end
from pipeline.data.places import categories
from pipeline.detection.class_weights import write_class_weights
from pipeline.detection.families import family_of
from pipeline.files import atomic_folder, write_json
from pipeline.params import Classifier
from pipeline.training import class_history
from pipeline.training.device import check_precision, in_device_order, take_device
from pipeline.training.environment import environment
from pipeline.training.loop import divide
from pipeline.training.phases import check_layers, freeze
from pipeline.training.recipe import build_config
from pipeline.training.scalars import FollowHook
from pipeline.training.start import check_start
from pipeline.training.starting_weights import find_start, taken_over

FUNCTIONS.register_module(module=survive_signals)
RUNNER_KEYS = (
    "work_dir", "train_dataloader", "train_cfg", "optim_wrapper", "param_scheduler",
    "default_hooks", "custom_hooks", "load_from", "resume", "launcher", "env_cfg",
    "log_processor", "log_level", "visualizer", "default_scope", "randomness",
)  # fmt: skip


def train(task) -> None:
    """Do a ``train_task.Training`` on this rank, going on from its last checkpoint.

    The first rank publishes. Returns without a model where a signal asked to stop: then there is a
    checkpoint. Raises ``Preempted`` where that came too late to stop anything.
    """
    params, name = task.settings, task.name
    check_unchanged(task)
    take_device(params.compute.gpus)
    check_precision(params.train.precision)
    block = params.method(name)
    weights = None
    if isinstance(block, Classifier):
        check_start(params, Path("models", block.start))
        weights = Path("models", block.start, "weights.pth")
    try:
        with asked_to_stop() as signals, workers_end():
            run(task, weights)
    except Stopped:
        barrier()
        print(f"{name} was asked to stop, and has saved", flush=True)
        return
    if signals.asked:  # in the last steps: the model is there, but the next stage shall not start
        raise Preempted


def run(task, weights):
    params, name, folder = task.settings, task.name, task.folder
    runner = build_runner(params, name, folder, weights)
    runner.register_hook(class_history.ClassHistoryHook())
    if task.follow:
        runner.register_hook(FollowHook(name, task.follow), "VERY_LOW")
    runner.train()
    if get_rank() == 0:
        publish(runner, params, name, folder)
    barrier()


def check_unchanged(task):
    """A job that waited in a queue must train what it was asked to, or nothing."""
    if training_folder(task.settings, task.name) != task.folder:
        raise ValueError(
            f"data, code or packages are not those that {task.name} was started with; "
            "run `dvc repro` again"
        )


def build_runner(params, name, folder, weights):
    """``weights``: of the method that ``name`` starts from, or None."""
    config, block = complete_config(params, name, folder), params.method(name)
    divide(config, params, get_world_size())
    start = on_first_rank(find_start, config.model.backbone, params, name, folder, weights)
    config.load_from, config.resume = start.file, start.resume
    config.model.backbone = start.backbone
    model = in_device_order(build_model(config))
    if isinstance(block, Classifier):
        check_layers(model, name, block)
        freeze(model, block.train)
        if not start.resume:
            config.load_from = on_first_rank(taken_over, start.file, model, name, block, folder)
    if is_distributed() and torch.cuda.is_available():  # a CPU's gradients: fixed_order.py
        config.launcher = "pytorch"
        # device_ids None: the process's current GPU
        config.model_wrapper_cfg = dict(
            type="MMDistributedDataParallel", broadcast_buffers=False, device_ids=None
        )
    runner = Runner(model=model, cfg=config, **{key: config[key] for key in RUNNER_KEYS})
    runner.logger.addFilter(is_true)
    return runner


def on_first_rank(function, *arguments):
    """What ``function`` says on the first rank, which looks and writes for all."""
    answer = [function(*arguments) if get_rank() == 0 else None]
    broadcast_object_list(answer)
    return answer[0]


def is_true(record):
    """mmengine compares steps with micro-batches before the loop sets its own counts, and warns of
    batch norm in pieces, which here are the same wherever they run."""
    untrue = "Resumed iteration number is not divisible", "Gradient accumulative may slightly"
    return not record.getMessage().startswith(untrue)


def build_model(config):
    init_default_scope("mmdet")
    set_random_seed(config.randomness.seed)
    return MODELS.build(config.model)


def complete_config(params, name, work_dir):
    """``build_config``'s, with the box regression of an imported model that training starts from.

    mmengine would only log that ``fc_reg`` has another shape, and train it from random weights.
    """
    config = build_config(params, name, work_dir)
    start = params.method(name).start
    if start in params.pretrained:
        imported = Config.fromfile(Path("models", start, "config.py")).model
        family_of(imported).same_boxes(config.model, imported)
    return config


def publish(runner, params, name, folder):
    """Write the trained model, its config, scalars and environment; the checkpoints may go."""
    lines = (folder / "scalars.jsonl").read_text(encoding="utf-8").splitlines()
    model = getattr(runner.model, "module", runner.model)  # without the wrapper for several GPUs
    state = {key: value.cpu().contiguous() for key, value in model.state_dict().items()}
    with atomic_folder(folder / "model") as out:
        torch.save(state, out / "weights.pth")
        complete_config(params, name, "").dump(out / "config.py")
        write_class_weights(state, len(categories(params)), out)
        shutil.copy(folder / "scalars.jsonl", out)
        class_history.collect(folder, out)
        scalars = [json.loads(line) for line in lines]
        write_json(out / "environment.json", environment(params, name, scalars))
    for checkpoint in checkpoint_files(folder):
        checkpoint.unlink()
