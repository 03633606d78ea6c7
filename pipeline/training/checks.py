"""What must hold before a training starts, or a model predicts."""

from pathlib import Path

from mmengine.config import Config

from pipeline.params import Params
from pipeline.training.recipe import categories, index_folder


def check_data(params: Params) -> None:
    """``ValueError`` where `prepare` has not made the training data."""
    path = Path(index_folder(params, "train"), "digest.txt")
    if not path.is_file():
        raise ValueError(f"{path} is missing; run `dvc repro prepare`")


def check_start(params: Params, folder: Path) -> None:
    """``ValueError`` where ``folder`` holds no complete model, or one for other categories."""
    for name in ("weights.pth", "config.py"):
        if not (folder / name).is_file():
            raise ValueError(f"{folder / name} is missing; run `{remedy(params, folder.name)}`")
    trained = list(Config.fromfile(folder / "config.py").metainfo.classes)
    wanted = [category["name"] for category in categories(params)]
    if trained != wanted:
        raise ValueError(
            f"{folder} was trained on {len(trained)} categories, data/{params.data.name} has "
            f"{len(wanted)}{first_difference(trained, wanted)}; "
            f"run `{remedy(params, folder.name)}`"
        )


def check_weights_file(weights: str | None) -> None:
    """``ValueError`` where ``detector.weights`` is a path (and not a URL) to no file."""
    if weights and "://" not in weights and not Path(weights).expanduser().is_file():
        raise ValueError(f"detector.weights is {weights!r}, which is no file; null starts afresh")


def remedy(params, name):
    if name in params.pretrained:
        return f"dvc repro import_checkpoint@{name}"
    kind = "representation" if name in params.representation else "classifier"
    return f"dvc repro train_{kind}@{name}"


def first_difference(trained, wanted):
    for label, (one, other) in enumerate(zip(trained, wanted, strict=False)):
        if one != other:
            return f" (label {label} is {one!r} there, {other!r} here)"
    return ""
