"""The methods of params.yaml, one class a section.

The code that comes after training asks a method what it is (``stage``, ``start``), and never which
section it stands in.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from pipeline.params.limits import limited
from pipeline.params.parse import parse, require
from pipeline.params.parts import Calibrator, Features, Loss, Part, Predictor, Sampler

LAYERS = ("fc_cls", "fc_reg", "rpn", "mask_head")
Layer = Literal["fc_cls", "fc_reg", "rpn", "mask_head"]
PARTS = ("loss", "features", "sampler", "predictor", "calibrator")


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What a training image goes through.

    ``short_edges`` draws the length of the shorter side; ``scale_jitter`` resizes by a random
    factor of [low, high] and crops back to ``canvas`` ([width, height]; left out, the detector's
    image scale); ``copy_paste`` is the largest number of objects pasted from a second image (0:
    none), which is brought to the same canvas.
    """

    short_edges: list[int] = limited((), low=32)
    scale_jitter: list[float] = limited((1.0, 1.0), low=0.05, high=20)
    canvas: list[int] | None = limited(None, low=32)
    flip: float = limited(0.5, low=0, high=1)
    copy_paste: int = limited(0, low=0)


@dataclass(frozen=True, kw_only=True)
class Trained:
    """``proposals`` an image from the RPN in training; left out, the detector config's.

    ``sampler``: which images an epoch has; left out, each once. ``predictor``: the last layer of
    the classifier. ``prior``: every class's initial score under a sigmoid. What of ``predictor``,
    ``prior``, ``warmup_iters`` and ``clip_gradient`` is left out is the loss's own default (the
    ``block`` of its file), and without one a linear layer, no prior, and those of ``train``.
    """

    loss: Loss
    epochs: int = limited(low=1)
    milestones: list[int] = limited((), low=1)
    learning_rate_factor: float = limited(1.0, low=0)
    weight_decay: float = limited(1e-4, low=0)
    warmup_iters: int | None = limited(None, low=0)
    clip_gradient: float | None = limited(None, low=1e-6)
    proposals: int | None = limited(None, low=1)
    prior: float | None = limited(None, low=1e-6, high=0.5)
    predictor: Predictor | None = None
    sampler: Sampler | None = None
    augmentation: Augmentation = Augmentation()

    def __post_init__(self):
        for name, value in self.loss.block.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)


@dataclass(frozen=True, kw_only=True)
class Representation(Trained):
    """Stage 1: the whole detector."""

    stage: ClassVar[str] = "train_representation"
    start: ClassVar[None] = None
    old_keys: ClassVar[dict[str, str]] = {}


@dataclass(frozen=True, kw_only=True)
class Classifier(Trained):
    """Stage 2: some layers, on the frozen rest of the method named by ``from``.

    ``train``: the layers that learn, as far as the detector has them; ``reinit``: those of them
    that start afresh. ``features``: what joins the images' own features; left out, nothing.
    """

    stage: ClassVar[str] = "train_classifier"
    old_keys: ClassVar[dict[str, str]] = {
        "hallucination": "features: {type: hallucination, decay_ratio: ..., ...}, and where "
        "`enabled` was false no features at all"
    }

    start: str = field(metadata={"key": "from"})
    features: Features | None = None
    train: list[Layer] = LAYERS
    reinit: list[Layer] = ()

    def __post_init__(self):
        super().__post_init__()
        if not self.train:
            raise ValueError(f"train is []: nothing would learn; allowed: {', '.join(LAYERS)}")
        if set(self.reinit) - set(self.train):
            raise ValueError(
                f"reinit is {list(self.reinit)}, but only {list(self.train)} is trained: what "
                "starts afresh must learn; add it to train"
            )


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """A detector that is imported and not trained.

    ``weights`` is a file or a URL, ``loss`` what it was trained with (it decides what the scores
    mean), ``sha256`` the file's digest, checked where it is given.
    """

    stage: ClassVar[str] = "import_checkpoint"
    start: ClassVar[None] = None

    weights: str
    loss: Loss
    predictor: Predictor | None = None
    sha256: str | None = None

    def __post_init__(self):
        if self.predictor is None:
            object.__setattr__(self, "predictor", self.loss.block.get("predictor"))


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """The method named by ``from`` with other scores; nothing is trained.

    In params.yaml the calibrator's type and knobs stand beside ``from``.
    """

    stage: ClassVar[str] = "calibrate"

    start: str = field(metadata={"key": "from"})
    calibrator: Calibrator

    @classmethod
    def from_yaml(cls, value: Any, key: str) -> "Calibration":
        words = "a mapping with a type and `from`, the method that it calibrates"
        require(isinstance(value, dict) and "from" in value, key, value, words)
        part = {name: knob for name, knob in value.items() if name != "from"}
        start = parse(str, value["from"], f"{key}.from")
        return cls(start=start, calibrator=Calibrator.from_yaml(part, key))

    def as_yaml(self) -> dict[str, Any]:
        return {"from": self.start, **self.calibrator.as_yaml()}


def parts(method: "Method") -> dict[str, Part]:
    """Those the method has, by their keys."""
    found = {key: getattr(method, key, None) for key in PARTS}
    return {key: part for key, part in found.items() if part}


Method = Representation | Classifier | Pretrained | Calibration
SECTIONS = {
    "representation": Representation,
    "pretrained": Pretrained,
    "classifier": Classifier,
    "calibration": Calibration,
}
