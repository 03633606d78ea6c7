"""Reading anybody's checkpoint without running what is pickled in it.

``torch.load(weights_only=True)`` reads most files. mmengine's checkpoints hold more (the history
of the log, numpy scalars, config objects), for which mmengine itself unpickles without limits.
Here such objects come out as inert stand-ins, and a file that names anything else is refused.
"""

import pickle
import types
from collections.abc import Mapping
from pathlib import Path

import torch

TENSORS = {
    ("collections", "OrderedDict"),
    ("torch._utils", "_rebuild_parameter"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch", "Size"),
}
# Whose objects checkpoints of mmdet 2.x and 3.x carry beside the weights.
HARMLESS_MODULES = ("_codecs", "addict", "copy_reg", "copyreg", "datetime", "mmcv", "mmdet")
HARMLESS_MODULES += ("mmengine", "numpy", "pathlib", "yapf")
HARMLESS_BUILTINS = ("bytearray", "complex", "frozenset", "getattr", "object", "set", "slice")


class Inert:
    """Stands for an object that nothing here needs: takes everything, does nothing."""

    def __new__(cls, *args, **kwargs):
        return super().__new__(cls)

    def __init__(self, *args, **kwargs):
        pass

    def take(self, *args, **kwargs):
        pass

    __call__ = __setitem__ = __setstate__ = add = append = extend = update = take


class Unpickler(pickle.Unpickler):
    """Builds tensors, containers and stand-ins; calls nothing that a file names."""

    def find_class(self, module, name):
        if (module, name) in TENSORS or (module == "torch" and name.endswith("Storage")):
            return super().find_class(module, name)
        root = module.split(".")[0]
        builtin = root in ("builtins", "__builtin__") and name in HARMLESS_BUILTINS
        if builtin or root in HARMLESS_MODULES:
            return Inert
        raise Refused(f"it would run {module}.{name} on loading")


class Refused(Exception):
    pass


def restricted_pickle():
    """What torch.load wants as its ``pickle_module``."""
    module = types.ModuleType("restricted_pickle")
    module.Unpickler = Unpickler
    module.load = lambda file, **options: Unpickler(file, **options).load()
    return module


def load_safely(path: Path, key: str):
    """The checkpoint's content, on the CPU; ``ValueError`` where the file is damaged or refused."""
    try:
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError:  # it holds more than tensors, or it is damaged
            return torch.load(path, "cpu", restricted_pickle(), weights_only=False)
    except Refused as error:
        raise ValueError(
            f"{key}: {path} is refused: {error}. Where you trust it, keep its weights only: "
            '`torch.save(torch.load(FILE, weights_only=False)["state_dict"], NEW)`'
        ) from None
    except Exception as error:  # any damage: zip, pickle and runtime errors differ by place
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise ValueError(
            f"{key}: {path} cannot be read ({reason}); truncated? remove it and fetch it again"
        ) from None


def state_dict_of(checkpoint) -> dict[str, torch.Tensor]:
    """The arrays by name, without a wrapper's ``module.``; empty where there are none.

    mmdet and mmengine keep them under "state_dict", Swin's authors under "model".
    """
    if not isinstance(checkpoint, Mapping):
        return {}
    for key in ("state_dict", "model"):
        if isinstance(checkpoint.get(key), Mapping):
            checkpoint = checkpoint[key]
            break
    tensors = {k: v for k, v in checkpoint.items() if isinstance(v, torch.Tensor)}
    wrapped = tensors and all(key.startswith("module.") for key in tensors)
    return {key.removeprefix("module.") if wrapped else key: v for key, v in tensors.items()}
