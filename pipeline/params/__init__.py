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
from pipeline.params.checks import (
    check_method,
    check_methods,
    check_name,
    check_pieces,
    require_name,
)
from pipeline.params.compute import Compute, Slurm
from pipeline.params.data import Source
from pipeline.params.limits import limited
from pipeline.params.methods import (
    SECTIONS,
    Augmentation,
    Calibration,
    Classifier,
    Method,
    Pretrained,
    Representation,
    Trained,
)
from pipeline.params.parse import parse
from pipeline.params.settings import Detector, Predict, Report, Tracking, Train

__all__ = [
    "SECTIONS", "Augmentation", "Calibration", "Classifier", "Compute", "Detector", "Method",
    "Params", "Predict", "Pretrained", "Report", "Representation", "Slurm", "Source", "Tracking",
    "Train", "Trained", "load", "parse", "require_name",
]  # fmt: skip


class Methods:
    """What can be asked about the methods of all sections."""

    def methods(self) -> dict[str, Method]:
        """Of all sections, so that what a method starts from stands before it."""
        return {name: method for key in SECTIONS for name, method in getattr(self, key).items()}

    def method(self, name: str, key="") -> Method:
        """The one of this name; ``ValueError`` if there is none.

        ``key``: where the name stands, for the message.
        """
        known = self.methods()
        return known[require_name(known, name, f"method of {key}" if key else "method")]

    def ancestry(self, name: str) -> list[str]:
        """The method and what it starts from, and so on: the last one starts from nothing."""
        start = self.method(name).start
        return [name, *(self.ancestry(start) if start else [])]

    def loss_of(self, name: str):
        """Of the method, or of the one whose weights a calibration takes over."""
        method = self.method(name)
        return method.loss if hasattr(method, "loss") else self.loss_of(method.start)


@dataclass(frozen=True, kw_only=True)
class Params(Methods):
    data: Source
    detector: Detector
    train: Train
    representation: dict[str, Representation]
    report: Report
    classifier: dict[str, Classifier] = field(default_factory=dict)
    calibration: dict[str, Calibration] = field(default_factory=dict)
    pretrained: dict[str, Pretrained] = field(default_factory=dict)
    seed: int = limited(0, low=0, high=2**32 - 1)  # numpy's limit
    predict: Predict = Predict()
    compute: Compute = Compute()
    tracking: Tracking = Tracking()

    def __post_init__(self):
        check_name("data.name", self.data.name)
        check_methods(self)
        check_pieces(self)
        for section in SECTIONS:
            for name, method in getattr(self, section).items():
                check_method(f"{section}.{name}", method)


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
