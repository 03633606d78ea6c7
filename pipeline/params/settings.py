"""The sections of params.yaml that are no methods: detector, train, predict, report, tracking."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.messages import shown
from pipeline.params.limits import limited

TRACKING_SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql", "databricks")
OWN_PLACE = ("http", "https", "sqlite", "databricks")  # for files, without tracking.artifacts
DETECTORS = Path(__file__).resolve().parents[2] / "configs" / "detectors"


@dataclass(frozen=True, kw_only=True)
class Detector:
    """``config`` names configs/detectors/<config>.py; ``image_scale`` is [width, height]."""

    config: str
    image_scale: list[int] = limited(low=32)
    weights: str | None = None

    def __post_init__(self):
        known = sorted(path.stem for path in DETECTORS.glob("*.py"))
        if self.config not in known:
            found, allowed = shown(self.config), ", ".join(known)
            raise ValueError(f"detector.config is {found}; allowed: {allowed}")
        if len(self.image_scale) != 2:
            found = shown(self.image_scale)
            raise ValueError(f"detector.image_scale is {found}, not [width, height]")


@dataclass(frozen=True, kw_only=True)
class Train:
    """The optimizer, shared by both training stages.

    ``batch_size`` is the total over GPUs and accumulation steps. ``micro_batch`` images pass
    through the detector together, wherever it runs (left out: as many as a GPU has): batch norm
    knows no others, and processes on a CPU share the batch in these pieces. ``learning_rate``
    belongs to ``base_batch_size`` (left out: to ``batch_size``) and is scaled linearly from there.
    """

    batch_size: int = limited(low=1)
    micro_batch: int | None = limited(None, low=1)
    base_batch_size: int | None = limited(None, low=1)
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = limited(low=0)
    momentum: float | None = limited(None, low=0, high=1)
    warmup_iters: int = limited(500, low=0)
    clip_gradient: float | None = limited(None, low=1e-6)
    precision: Literal["fp32", "fp16", "bf16"] = "fp32"

    def __post_init__(self):
        if self.micro_batch and self.batch_size % self.micro_batch:
            raise ValueError(
                f"train.micro_batch is {self.micro_batch}, which does not divide train.batch_size, "
                f"{self.batch_size}, into equal pieces; choose a divisor of it"
            )
        if self.momentum is not None and self.optimizer != "sgd":
            raise ValueError(f"train.momentum has no effect on {self.optimizer}; remove it")


@dataclass(frozen=True, kw_only=True)
class Predict:
    """``max_per_image`` beyond LVIS's 300 serves AP-fixed; AP itself always uses the best 300."""

    score_threshold: float = limited(1e-4, low=0, high=1)
    max_per_image: int = limited(1000, low=1)
    nms_iou: float = limited(0.5, low=0, high=1)


@dataclass(frozen=True, kw_only=True)
class Report:
    """``grouping``: by LVIS's r, c, f, or by SimCal's bins of training objects (COCO-LT)."""

    methods: list[str]
    baseline: str
    grouping: Literal["lvis", "simcal"] = "lvis"
    gallery_images: int = limited(8, low=0, high=200)


@dataclass(frozen=True, kw_only=True)
class Tracking:
    """``uri`` is "sqlite" (mlflow.db in the project's folder), or the URI of a server or database.

    ``artifacts``: where a new experiment keeps its files, a folder or such as s3://bucket/path;
    left out, a server's own place, and mlartifacts/ in the project's folder with SQLite.
    ``models``: whether it also gets the final models, whose weights may be large; they are
    registered as ``model_prefix``<method>.
    """

    enabled: bool = True
    uri: str = "sqlite"
    experiment: str = "bacl"
    artifacts: str = ""
    models: bool = True
    model_prefix: str = ""

    def __post_init__(self):
        if set(self.model_prefix) & set("/:"):
            raise ValueError(
                f"tracking.model_prefix is {self.model_prefix!r}; MLflow takes no / and no : there"
            )
        scheme = self.uri.partition(":")[0]
        if not scheme.startswith("sqlite"):
            scheme = scheme.partition("+")[0]
        if scheme not in TRACKING_SCHEMES:
            allowed = "sqlite, http(s)://, or a database such as postgresql://"
            raise ValueError(f"tracking.uri is {shown(self.uri)}; allowed: {allowed}")
        if scheme not in OWN_PLACE and not self.artifacts:
            raise ValueError(
                f"tracking.uri is {shown(self.uri)}, so tracking.artifacts must say where files "
                "go: a folder that all machines see, or such as s3://bucket/path"
            )
