"""What must hold before a training starts, or a model predicts. Imports no torch."""

from pathlib import Path

from pipeline.data.categories import first_difference
from pipeline.data.places import categories, index_folder
from pipeline.params import Params, Train


def check_data(params: Params) -> None:
    """``ValueError`` where `prepare` has not made the training data."""
    path = Path(index_folder(params, "train"), "digest.txt")
    if not path.is_file():
        raise ValueError(f"{path} is missing; run `dvc repro prepare`")


def check_model_files(params: Params, folder: Path) -> None:
    """``ValueError`` where ``folder`` holds no complete model."""
    for name in ("weights.pth", "config.py"):
        if not (folder / name).is_file():
            raise ValueError(f"{folder / name} is missing; run `{remedy(params, folder.name)}`")


def check_start(params: Params, folder: Path) -> None:
    """``ValueError`` where ``folder`` holds no complete model, or one for other categories."""
    from mmengine.config import Config

    check_model_files(params, folder)
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


def check_shares(train: Train, ranks: int) -> None:
    """``ValueError`` where so many ranks cannot share a total batch evenly, or its pieces."""
    if train.batch_size % ranks:
        raise ValueError(
            f"train.batch_size is {train.batch_size}, which {ranks} ranks (GPUs, or processes on a "
            f"CPU) cannot share evenly; choose a multiple of {ranks}"
        )
    if train.micro_batch and pieces(train) % ranks:
        raise ValueError(
            f"train.micro_batch is {train.micro_batch}, which makes {pieces(train)} pieces of a "
            f"batch, and {ranks} ranks cannot share them evenly; lower it, or use fewer"
        )


def pieces(train: Train) -> int:
    """Of a batch, wherever it runs; 1 where that is not settled."""
    return train.batch_size // (train.micro_batch or train.batch_size)


def remedy(params, name):
    return f"dvc repro {params.method(name).stage}@{name}"
