"""Training as a task of ``pipeline.compute``. Imports no torch before ``work``."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.compute.run_folder import training_folder
from pipeline.files import atomic_folder
from pipeline.params import Classifier, Params
from pipeline.training.start import (
    check_data,
    check_model_files,
    check_shares,
    check_weights_file,
    pieces,
)


@dataclass(frozen=True)
class Training:
    """Train the method ``name``; the finished model lies in ``folder``/model.

    ``follow`` gets {name: scalars.jsonl} after every epoch, on the first rank.
    """

    settings: Params
    name: str
    folder: Path
    follow: Callable[[dict[str, Path]], Any] | None = None

    def finished(self) -> bool:
        return (self.folder / "model").is_dir()

    def saved(self) -> object:
        return sorted(path.name for path in self.folder.glob("step_*.pth"))

    def check_ranks(self, count: int) -> None:
        check_shares(self.settings.train, count)

    def cpu_ranks(self, cores: int) -> int:
        shared = pieces(self.settings.train)
        return max(ranks for ranks in range(1, cores + 1) if shared % ranks == 0)

    def work(self) -> None:
        from pipeline.training.train import train

        train(self)

    def collect(self) -> None:
        with atomic_folder(Path("models", self.name)) as out:
            shutil.copytree(self.folder / "model", out, dirs_exist_ok=True)


def training(settings: Params, name: str, follow=None) -> Training:
    """The task; ``ValueError`` where something that it starts from is missing."""
    block = settings.method(name)
    check_data(settings)
    check_weights_file(settings.detector.weights)
    if isinstance(block, Classifier):
        check_model_files(settings, Path("models", block.start))
    return Training(settings, name, training_folder(settings, name), follow)
