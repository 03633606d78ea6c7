"""Phases by epoch, what of a detector learns, and a stop on a broken loss."""

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook

from pipeline.detection.families import layers
from pipeline.params.methods import LAYERS, Classifier


@HOOKS.register_module()
class PhaseHook(Hook):
    """Tells every module with ``set_epoch`` the runner's epoch, so a resumed run is in phase."""

    def before_train_epoch(self, runner):
        for module in runner.model.modules():
            if hasattr(module, "set_epoch"):
                module.set_epoch(runner.epoch)


def check_layers(model, name: str, block: Classifier) -> None:
    """``ValueError`` where the classifier ``name`` names a layer that ``model`` lacks.

    All that can be named, which is what `train` has by default, mean all that there are.
    """
    found = layers(model)
    for key, wanted in (("train", block.train), ("reinit", block.reinit)):
        lacking = [layer for layer in wanted if layer not in found]
        if lacking and set(wanted) != set(LAYERS):
            raise ValueError(
                f"classifier.{name}.{key} names {lacking[0]}, which this detector has not; "
                f"it has: {', '.join(found)}"
            )


def freeze(model, trained) -> None:
    """Leave only the layers named in ``trained`` learning, as far as ``model`` has them.

    By default the same parameters as ``BACL:tools/train.py select_training_param``. What a layer
    keeps from learning itself stays so. Call it before the model is wrapped for distributed
    training, which looks at ``requires_grad`` only once.
    """
    learning = [module for name, module in layers(model).items() if name in trained]
    free = {parameter for module in learning for parameter in module.parameters()}
    for parameter in model.parameters():
        if parameter not in free:
            parameter.requires_grad_(False)


@HOOKS.register_module()
class FreezeHook(Hook):
    """Keeps what ``freeze`` froze in eval mode: BN statistics, dropout.

    It acts at the first iteration of an epoch (or of what a resumed run has left of it) because
    mmengine calls ``model.train()`` between ``before_train_epoch`` and there.
    """

    def before_train_epoch(self, runner):
        self.acted = False

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if self.acted:
            return
        for module in runner.model.modules():
            if is_frozen(module):
                module.eval()
        self.acted = True


def is_frozen(module):
    parameters = list(module.parameters())
    return bool(parameters) and not any(p.requires_grad for p in parameters)


@HOOKS.register_module()
class StopOnNaN(Hook):
    """Ends the training with a ``ValueError`` that names the first non-finite loss.

    Looking at a loss makes the host wait for the device, so the losses are only kept, and looked
    at together every ``interval`` iterations and at the end of an epoch, before it is saved.
    """

    def __init__(self, interval=50):
        self.interval = interval
        self.kept = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        losses = {name: value.detach() for name, value in outputs.items() if "loss" in name}
        self.kept.append((runner.iter + 1, losses))
        if len(self.kept) >= self.interval:
            self.check()

    def after_train_epoch(self, runner):
        self.check()

    def check(self):
        """``ValueError`` on the first kept loss that is not finite."""
        kept, self.kept = self.kept, []
        # backwards: the sum stands first in mmengine's outputs, and one of its parts says more
        losses = [(i, *item) for i, values in kept for item in reversed(values.items())]
        if not losses:
            return
        finite = torch.stack([value.float() for _, _, value in losses]).isfinite().tolist()
        if not all(finite):
            iteration, name, value = losses[finite.index(False)]
            raise ValueError(
                f"{name} is {value.item()} at iteration {iteration}; lower train.learning_rate "
                "or set train.clip_gradient"
            )
