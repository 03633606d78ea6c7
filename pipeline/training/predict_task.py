"""Prediction as a task of ``pipeline.compute``. Imports no torch before ``work``."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from pipeline.compute.run_folder import prediction_folder
from pipeline.data.index import Index
from pipeline.data.places import index_folder
from pipeline.files import atomic_path
from pipeline.params import Params
from pipeline.training.start import check_model_files

IMAGES_A_PART = 32  # the pieces of a prediction that ranks share and a killed one keeps


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

    def images_of(self, part: int) -> range:
        return range(part * IMAGES_A_PART, min(self.images, (part + 1) * IMAGES_A_PART))

    def missing(self) -> list[int]:
        return [part for part, path in enumerate(self.parts()) if not path.is_file()]

    def finished(self) -> bool:
        return not self.missing()

    def saved(self) -> object:
        return len(self.missing())

    def check_ranks(self, count: int) -> None:
        """Any number will do."""

    def cpu_ranks(self, cores: int) -> int:
        return min(cores, len(self.parts()))

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
