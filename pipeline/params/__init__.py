"""params.yaml -> frozen, validated dataclasses.

Every knob of the pipeline is declared here once, with its default (no default: the file must
give it) and its limits. A wrong key or value is a ``ValueError`` that names the key, the value
and what is allowed, raised before any work starts.
"""

from dataclasses import dataclass, field
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.messages import in_one_line
from pipeline.params.blocks import (
    LOSSES,
    Augmentation,
    BCELoss,
    Classifier,
    CrossEntropyLoss,
    Detector,
    FCBLoss,
    Hallucination,
    Predict,
    Pretrained,
    Report,
    Representation,
    Tracking,
    Train,
)
from pipeline.params.checks import (
    check_augmentation,
    check_digest,
    check_has_effect,
    check_methods,
    check_name,
    require_name,
)
from pipeline.params.compute import Compute, Slurm
from pipeline.params.data import (
    LVIS_FILES,
    LVIS_SOURCE,
    SYMBOLS_SOURCE,
    FilesData,
    LvisData,
    SplitFiles,
    SymbolsData,
)
from pipeline.params.limits import limited
from pipeline.params.parse import parse

__all__ = [
    "LOSSES", "LVIS_FILES", "LVIS_SOURCE", "SYMBOLS_SOURCE", "Augmentation", "BCELoss",
    "Classifier", "Compute", "CrossEntropyLoss", "Detector", "FCBLoss", "FilesData",
    "Hallucination", "LvisData", "Params", "Predict", "Pretrained", "Report", "Representation",
    "Slurm", "SplitFiles", "SymbolsData", "Tracking", "Train", "load", "parse", "require_name",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Params:
    data: SymbolsData | FilesData | LvisData
    detector: Detector
    train: Train
    representation: dict[str, Representation]
    classifier: dict[str, Classifier]
    report: Report
    pretrained: dict[str, Pretrained] = field(default_factory=dict)
    seed: int = limited(0, low=0, high=2**32 - 1)  # numpy's limit
    predict: Predict = Predict()
    compute: Compute = Compute()
    tracking: Tracking = Tracking()

    def __post_init__(self):
        check_name("data.name", self.data.name)
        check_methods(self)
        for section in ("representation", "classifier"):
            for name, block in getattr(self, section).items():
                check_has_effect(f"{section}.{name}", block)
                check_augmentation(f"{section}.{name}.augmentation", block.augmentation)
        for name, block in self.pretrained.items():
            check_digest(f"pretrained.{name}.sha256", block.sha256)

    def method(self, name, key=""):
        """The block of this name, whichever its section; ``ValueError`` if there is none.

        ``key``: where the name stands, for the message.
        """
        known = {**self.representation, **self.pretrained, **self.classifier}
        return known[require_name(known, name, f"method of {key}" if key else "method")]


def load(path="params.yaml") -> Params:
    """Read and validate a params file."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} does not exist; copy one from configs/presets/")
    return parse(Params, read_yaml(path), "")


def read_yaml(path: Path):
    """The values as DVC reads them, with the same reader: it fills dvc.yaml with them."""
    try:
        return YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError(f"{path} is nested too deeply to be read; is it the right file?") from None
    except (YAMLError, ValueError) as error:  # also a date or number that cannot be
        raise ValueError(f"{path} is not valid YAML: {in_one_line(error)}") from None
