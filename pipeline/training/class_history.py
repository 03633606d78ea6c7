"""What a classifier stage has learned about its classes by the end of every epoch.

The report draws from it how confusion and hallucination moved; no training reads it. Each epoch has
a file in the run folder, so that a killed run has lost nothing; ``collect`` makes them one.
"""

from pathlib import Path

import numpy as np
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from pipeline.detection.families import family_of, unwrapped
from pipeline.files import atomic_path

FOLDER = "class_history"
FILE = "class_history.npz"


@HOOKS.register_module()
class ClassHistoryHook(Hook):
    """Writes class_history/<epoch>.npz, for a loss that keeps a confusion matrix."""

    priority = "LOW"  # before the epoch's checkpoint: a resumed run has all epochs before it

    @master_only
    def after_train_epoch(self, runner):
        model = unwrapped(runner.model)
        if not hasattr(family_of(model).loss_of(model), "confusion_sum"):
            return
        epoch, epochs = runner.epoch + 1, runner.max_epochs
        # [C, C] is large with LVIS: only what the first and the last epoch's own need
        arrays = state_of_classes(model, with_matrix=epoch in (1, epochs - 1, epochs))
        with atomic_path(Path(runner.work_dir, FOLDER, f"{epoch:04}.npz")) as temporary:
            np.savez_compressed(temporary, **arrays)


def state_of_classes(model, with_matrix) -> dict[str, np.ndarray]:
    """What every class [C] has been taken for so far, and its chance to be hallucinated.

    ``class_count`` and ``own_sum``; ``confusion_sum`` [C, C] where asked for; where features are
    hallucinated, the ``probability`` to be drawn and whether the class has been ``seen``.
    """
    family = family_of(model)
    loss, hallucination = family.loss_of(model), family.features_of(model)
    arrays = {"class_count": loss.class_count, "own_sum": loss.confusion_sum.diagonal()}
    if with_matrix:
        arrays["confusion_sum"] = loss.confusion_sum
    if hallucination is not None and hallucination.active:
        arrays["probability"] = hallucination.class_probability(loss.own_share())
        arrays["seen"] = hallucination.seen
    return {name: array.cpu().numpy() for name, array in arrays.items()}


def collect(folder: Path, out: Path) -> None:
    """``out``/class_history.npz from the epochs of a run folder; nothing where there are none.

    ``epoch`` [E]; ``own`` [E, C], how much of itself each class has been taken for so far;
    ``probability`` and ``seen`` [E, C], NaN and False without hallucination; ``first`` and ``last``
    [C, C], the confusion within the first and within the last epoch (rows are the true class).
    """
    files = sorted((folder / FOLDER).glob("[0-9]*.npz"))
    if not files:
        return
    epochs = [np.load(path) for path in files]  # an array is read when it is asked for
    first, before, last = epochs[0], epochs[-2] if len(epochs) > 1 else None, epochs[-1]
    classes = len(last["class_count"])
    with atomic_path(out / FILE) as temporary:
        np.savez_compressed(
            temporary,
            epoch=np.array([int(path.stem) for path in files]),
            own=np.stack([e["own_sum"] / np.maximum(e["class_count"], 1) for e in epochs]),
            probability=np.stack([e.get("probability", np.full(classes, np.nan)) for e in epochs]),
            seen=np.stack([e.get("seen", np.zeros(classes, bool)) for e in epochs]),
            first=confusion_within(first, None),
            last=confusion_within(last, before),
        )


def confusion_within(epoch, before):
    """[C, C] of what came after ``before``; a class without a sample since then has zeros."""
    total, count = epoch["confusion_sum"], epoch["class_count"]
    if before is not None:
        total -= before["confusion_sum"]
        count -= before["class_count"]
    total /= np.maximum(count, 1)[:, None]
    return total
