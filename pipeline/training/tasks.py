"""Training and prediction as tasks of ``pipeline.compute``. Imports no torch before ``work``."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from pipeline.data.index import Index
from pipeline.data.places import index_folder
from pipeline.files import atomic_folder, atomic_path
from pipeline.params import Classifier, Params
from pipeline.training.start import check_data, check_model_files, check_shares, check_weights_file
from pipeline.compute.run_folder import prediction_folder, training_folder

IMAGES_A_PART = 32  # the pieces of a prediction that ranks share and a killed one keeps


@dataclass(frozen=True)
class Training:
    """Train the method ``name``; the finished model lies in ``folder``/model."""

    settings: Params
    name: str
    folder: Path

    def finished(self) -> bool:
        return (self.folder / "model").is_dir()

    def saved(self) -> object:
        return sorted(path.name for path in self.folder.glob("step_*.pth"))

    def check_ranks(self, count: int) -> None:
        check_shares(self.settings.train.batch_size, count)

    def work(self) -> None:
        from pipeline.training.train import train

        train(self)

    def collect(self) -> None:
        with atomic_folder(Path("models", self.name)) as out:
            shutil.copytree(self.folder / "model", out, dirs_exist_ok=True)


def training(settings: Params, name: str) -> Training:
    """The task; ``ValueError`` where something that it starts from is missing."""
    block = settings.method(name)
    check_data(settings)
    check_weights_file(settings.detector.weights)
    if isinstance(block, Classifier):
        check_model_files(settings, Path("models", block.start_from))
    return Training(settings, name, training_folder(settings, name))


@dataclass(frozen=True)
class Prediction:
    """Detect in the val images with the method ``name``; part k lies in ``folder``/parts."""

    settings: Params
    name: str
    folder: Path
    images: int

    def parts(self) -> list[Path]:
        count = -(-self.images // IMAGES_A_PART)
        return [self.folder / "parts" / f"{part:06}.parquet" for part in range(count)]

    def missing(self) -> list[int]:
        return [part for part, path in enumerate(self.parts()) if not path.is_file()]

    def finished(self) -> bool:
        return not self.missing()

    def saved(self) -> object:
        return len(self.missing())

    def check_ranks(self, count: int) -> None:
        """Any number will do."""

    def work(self) -> None:
        from pipeline.training.predict import predict

        predict(self)

    def collect(self) -> None:
        """One table in the order of the images, whoever predicted which part."""
        import pandas as pd

        table = pd.concat([pd.read_parquet(part) for part in self.parts()], ignore_index=True)
        with atomic_path(Path("predictions", f"{self.name}.parquet")) as temporary:
            table.to_parquet(temporary, index=False)
        shutil.rmtree(self.folder / "parts")


def prediction(settings: Params, name: str) -> Prediction:
    """The task; ``ValueError`` where the model or the data are missing."""
    settings.method(name)
    check_model_files(settings, Path("models", name))
    images = len(Index(index_folder(settings, "val")))
    return Prediction(settings, name, prediction_folder(settings, name), images)
