"""params.yaml -> frozen, validated dataclasses.

Every knob of the pipeline is declared here once, with its default (no default: the file must
give it) and its limits. A wrong key or value is a ``ValueError`` that names the key, the value
and what is allowed, raised before any work starts.
"""

import os
import re
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

SYMBOLS_SOURCE = "pipeline/data/symbols.py"
LVIS_SOURCE = "pipeline/data/lvis.py"
DETECTORS = Path(__file__).resolve().parents[1] / "configs" / "detectors"
LVIS_FILES = ("train_annotations", "val_annotations", "train_images", "val_images")
NAME = re.compile(r"\w[\w.-]*", re.ASCII)  # safe as a file name, for DVC and for a shell
BOTTOMLESS = float("-inf")
ENDLESS = float("inf")


def limited(default=..., *, low=BOTTOMLESS, high=ENDLESS):
    """A dataclass field whose number (or each number of a list) lies in [low, high]."""
    metadata = {"limits": (low, high)}
    return field(metadata=metadata) if default is ... else field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class SymbolsData:
    """The generated long-tailed set: see pipeline/data/symbols.py."""

    name: str
    source: str
    seed: int = limited(0, low=0)
    categories: int = limited(60, low=1, high=400)
    exponent: float = limited(1.25, low=0, high=5)
    train_images: int = limited(1000, low=1)
    val_images: int = limited(300, low=1)
    image_size: int = limited(128, low=32, high=2048)

    def images(self, split: str) -> Path:
        """The folder that the file names of ``split`` ("train" or "val") start from."""
        return Path("data", self.name, "images", split)


@dataclass(frozen=True, kw_only=True)
class SplitFiles:
    """One split on disk: an annotation file inside ``data.source``, and the image folder."""

    annotations: str
    images: str


@dataclass(frozen=True, kw_only=True)
class FilesData:
    """A COCO- or LVIS-format data set on disk; ``source`` is the folder of annotation files."""

    name: str
    source: str
    train: SplitFiles
    val: SplitFiles
    verify: Literal["header", "decode"] = "header"

    def __post_init__(self):
        check_outside(self.name, "data.source", self.source, Path(self.source))
        for split in ("train", "val"):
            images = getattr(self, split).images
            check_outside(self.name, f"data.{split}.images", images, self.images(split))

    def images(self, split: str) -> Path:
        return in_project(getattr(self, split).images)


@dataclass(frozen=True, kw_only=True)
class LvisData:
    """LVIS, found under ``root`` or downloaded to it: see pipeline/data/lvis.py.

    ``root`` has, or gets, train2017/, val2017/ and annotations/. ``urls`` replaces single
    addresses, by their key of ``LVIS_FILES``; ``connections`` is per file.
    """

    name: str
    source: str
    version: Literal["v0.5", "v1"]
    root: str
    verify: Literal["header", "decode"] = "header"
    download: bool = True
    urls: dict[str, str] = field(default_factory=dict)
    connections: int = limited(4, low=1, high=32)

    def __post_init__(self):
        for key, url in self.urls.items():
            if key not in LVIS_FILES:
                raise ValueError(f"unknown key data.urls.{key}; allowed: {', '.join(LVIS_FILES)}")
            if not url.startswith(("http://", "https://")):
                raise ValueError(f"data.urls.{key} is {url!r}; it takes an http(s) address")
        check_outside(self.name, "data.root", self.root, self.images("train"))

    def images(self, split: str) -> Path:
        return in_project(self.root)


def check_outside(name: str, key: str, written: str, folder: Path) -> None:
    """``ValueError`` where ``folder``, which is the user's, lies in one that DVC empties."""
    made = in_project(str(Path("data", name))).resolve()
    if made in (place := folder.resolve(), *place.parents):
        raise ValueError(
            f"{key} is {written!r}, but DVC empties data/{name} before it runs `prepare`; "
            "move this folder out of it, or choose another data.name"
        )


def in_project(path: str) -> Path:
    """``path`` with ~ expanded; a relative one starts from the project, also in DVC's copies."""
    project = Path(os.environ.get("DVC_ROOT", "."))
    here = project.resolve() == Path.cwd()
    return Path(path).expanduser() if here else project / Path(path).expanduser()


@dataclass(frozen=True, kw_only=True)
class Detector:
    """``config`` names configs/detectors/<config>.py; ``image_scale`` is [width, height]."""

    config: str
    image_scale: list[int] = limited(low=32)
    weights: str | None = None

    def __post_init__(self):
        known = sorted(path.stem for path in DETECTORS.glob("*.py"))
        if self.config not in known:
            raise ValueError(f"detector.config is {self.config!r}; allowed: {', '.join(known)}")
        if len(self.image_scale) != 2:
            raise ValueError(f"detector.image_scale is {self.image_scale}, not [width, height]")


@dataclass(frozen=True, kw_only=True)
class Train:
    """The optimizer, shared by both training stages.

    ``batch_size`` is the total over GPUs and accumulation steps. ``learning_rate`` belongs to
    ``base_batch_size`` (left out: to ``batch_size``) and is scaled linearly from there.
    """

    batch_size: int = limited(low=1)
    base_batch_size: int | None = limited(None, low=1)
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = limited(low=0)
    momentum: float | None = limited(None, low=0, high=1)
    warmup_iters: int = limited(500, low=0)
    clip_gradient: float | None = limited(None, low=1e-6)
    precision: Literal["fp32", "fp16", "bf16"] = "fp32"

    def __post_init__(self):
        if self.momentum is not None and self.optimizer != "sgd":
            raise ValueError(f"train.momentum has no effect on {self.optimizer}; remove it")


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
class CrossEntropyLoss:
    type: Literal["cross_entropy"]


@dataclass(frozen=True, kw_only=True)
class BCELoss:
    type: Literal["bce"]


@dataclass(frozen=True, kw_only=True)
class FCBLoss:
    """Foreground classification balance loss; epochs count from 0."""

    type: Literal["fcbl"]
    alpha: float = limited(0.85, low=0)
    prob_thr: float = limited(0.7, low=0, high=1)
    margin: bool = True
    weight: bool = True
    weight_start_epoch: int = limited(0, low=0)


LOSSES = {"cross_entropy": CrossEntropyLoss, "bce": BCELoss, "fcbl": FCBLoss}


@dataclass(frozen=True, kw_only=True)
class Hallucination:
    """Feature hallucination module; epochs count from 0."""

    enabled: bool = True
    decay_ratio: float = limited(0.1, low=0, high=1)
    sampled_classes: int = limited(8, low=1)
    samples_per_class: int = limited(12, low=1)
    start_epoch: int = limited(0, low=0)


@dataclass(frozen=True, kw_only=True)
class _Schedule:
    """``proposals`` an image from the RPN in training; left out, the detector config's."""

    loss: Any
    epochs: int = limited(low=1)
    milestones: list[int] = limited((), low=1)
    learning_rate_factor: float = limited(1.0, low=0)
    weight_decay: float = limited(1e-4, low=0)
    proposals: int | None = limited(None, low=1)
    augmentation: Augmentation = Augmentation()


@dataclass(frozen=True, kw_only=True)
class Representation(_Schedule):
    """Stage 1: the whole detector.

    ``prior`` is every class's initial score under a sigmoid; left out, the official 0.001.
    """

    prior: float | None = limited(None, low=1e-6, high=0.5)


@dataclass(frozen=True, kw_only=True)
class Classifier(_Schedule):
    """Stage 2: the heads, on the frozen representation named by ``from``."""

    start_from: str = field(metadata={"key": "from"})
    hallucination: Hallucination = Hallucination()


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """A detector that is imported and not trained.

    ``weights`` is a file or a URL, ``loss`` what it was trained with (it decides what the scores
    mean), ``sha256`` the file's digest, checked where it is given.
    """

    weights: str
    loss: Any
    sha256: str | None = None


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
class Compute:
    """``images_per_gpu``: more than these are divided over accumulation steps (left out: none)."""

    backend: Literal["local"] = "local"
    gpus: Literal["auto", 0, 1] = "auto"
    workers: int = limited(1, low=0)
    images_per_gpu: int | None = limited(None, low=1)


@dataclass(frozen=True, kw_only=True)
class Tracking:
    """``uri`` is "sqlite" (mlflow.db in the project's folder) or any MLflow tracking URI."""

    enabled: bool = True
    uri: str = "sqlite"
    experiment: str = "bacl"


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


def require_name(known, name, kind, place="params.yaml"):
    """``name``, or a ``ValueError`` that lists what there is."""
    if name not in known:
        raise ValueError(f"unknown {kind} {name!r}; {place} has: {', '.join(known)}")
    return name


def check_methods(params):
    """Names are unique over the sections, and every name that is used is defined."""
    check_unique(params)
    starts = {**params.representation, **params.pretrained}
    for name, block in params.classifier.items():
        if block.start_from not in starts:
            raise ValueError(
                f"classifier.{name}.from is {block.start_from!r}, which is no representation; "
                f"allowed: {', '.join(starts)}"
            )
        if starts[block.start_from].loss.type == "cross_entropy" and (
            block.loss.type != "cross_entropy"
        ):
            raise ValueError(
                f"classifier.{name}.loss.type is {block.loss.type!r} on the softmax representation "
                f"{block.start_from!r}; start from one that was trained with bce"
            )
    if not params.report.methods:
        raise ValueError("report.methods is empty; name at least the baseline")
    for name in params.report.methods:
        params.method(name, "report.methods")
    params.method(params.report.baseline, "report.baseline")
    if params.report.baseline not in params.report.methods:
        raise ValueError(f"report.baseline {params.report.baseline!r} is not in report.methods")
    if len(set(params.report.methods)) < len(params.report.methods):
        raise ValueError(f"report.methods is {params.report.methods}; name each method once")


def check_unique(params):
    first = {}
    for section in ("representation", "pretrained", "classifier"):
        for name in getattr(params, section):
            check_name(f"a name under {section}", name)
            if name in first:
                raise ValueError(f"{name!r} stands under {first[name]} and {section}; rename one")
            first[name] = section


def check_name(key, name):
    """Names become folders, DVC stages and arguments on a command line."""
    if not (isinstance(name, str) and NAME.fullmatch(name)):
        raise ValueError(
            f"{key} is {name!r}; it takes letters, digits, '_', '.' and '-', not '.' or '-' first"
        )


def check_digest(key, digest):
    if digest is not None and not re.fullmatch("[0-9a-f]{64}", digest):
        raise ValueError(f"{key} is {digest!r}; it takes 64 digits of 0-9 and a-f")


def check_augmentation(key, augmentation):
    jitter, canvas = augmentation.scale_jitter, augmentation.canvas
    if augmentation.short_edges and (tuple(jitter) != (1, 1) or augmentation.copy_paste or canvas):
        raise ValueError(
            f"{key}.short_edges goes with neither scale_jitter, canvas nor copy_paste, which need "
            "images of one size; remove one"
        )
    if canvas and len(canvas) != 2:
        raise ValueError(f"{key}.canvas is {canvas}, not [width, height]")
    if len(jitter) != 2 or jitter[0] > jitter[1]:
        raise ValueError(f"{key}.scale_jitter is {list(jitter)}; it takes [low, high]")


def check_has_effect(key, block):
    """A setting that would be ignored is refused."""
    late = [milestone for milestone in block.milestones if milestone >= block.epochs]
    if late:
        raise ValueError(
            f"{key}.milestones has {late[0]}, which {block.epochs} epochs never reach; "
            f"allowed: 1 to {block.epochs - 1}"
        )
    check_starts(key, block)
    if getattr(block, "prior", None) and block.loss.type == "cross_entropy":
        raise ValueError(f"{key}.prior has no effect on cross_entropy; remove it")
    hallucinates = isinstance(block, Classifier) and block.hallucination.enabled
    if hallucinates and block.loss.type != "fcbl":
        raise ValueError(
            f"{key}.hallucination draws classes by the confusion that only fcbl keeps; loss.type "
            f"is {block.loss.type}; set hallucination.enabled to false, or use fcbl with "
            "margin: false, weight: false, which is plain BCE"
        )


def check_starts(key, block):
    """A part that starts after the last epoch never acts."""
    starts = {
        "loss.weight_start_epoch": getattr(block.loss, "weight_start_epoch", 0),
        "hallucination.start_epoch": getattr(
            getattr(block, "hallucination", None), "start_epoch", 0
        ),
    }
    for name, start in starts.items():
        if start >= block.epochs:
            raise ValueError(
                f"{key}.{name} is {start}, which {block.epochs} epochs never reach; "
                f"allowed: 0 to {block.epochs - 1}"
            )


def load(path="params.yaml") -> Params:
    """Read and validate a params file."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path} does not exist; copy one from configs/presets/")
    try:
        raw = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    return parse(Params, raw, "")


def parse(kind, value, key):
    """``value``, read from YAML, as an instance of ``kind`` (a dataclass or a type annotation)."""
    if key == "data" and isinstance(value, dict):
        kinds = {SYMBOLS_SOURCE: SymbolsData, LVIS_SOURCE: LvisData}
        kind = kinds.get(require_source(value.get("source")), FilesData)
    if kind is Any and key.endswith(".loss"):
        return parse_loss(value, key)
    if is_dataclass(kind):
        return parse_dataclass(kind, value, key)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        if value is None and type(None) in arguments:
            return None
        return parse(next(a for a in arguments if a is not type(None)), value, key)
    if origin is Literal:
        if not any(value == a and type(value) is type(a) for a in arguments):
            allowed = ", ".join(map(str, arguments))
            raise ValueError(f"{key} is {value!r}; allowed: {allowed}")
        return value
    if origin is dict:
        require(isinstance(value, dict), key, value, "a mapping of names to blocks")
        return {name: parse(arguments[1], v, f"{key}.{name}") for name, v in value.items()}
    if origin is list:
        require(isinstance(value, list), key, value, "a list")
        return [parse(arguments[0], v, f"{key}[{i}]") for i, v in enumerate(value)]
    return parse_scalar(kind, value, key)


def require_source(source):
    made = f"{SYMBOLS_SOURCE}, {LVIS_SOURCE} or a folder of annotation files"
    known = source in (SYMBOLS_SOURCE, LVIS_SOURCE)
    if not isinstance(source, str) or not source or (source.endswith(".py") and not known):
        raise ValueError(f"data.source is {source!r}; it takes {made}")
    return source


def parse_scalar(kind, value, key):
    if kind is float and type(value) is int:
        value = float(value)
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    require(type(value) is kind, key, value, names[kind])
    return value


def parse_loss(value, key):
    require(isinstance(value, dict) and "type" in value, key, value, "a mapping with a type")
    if value["type"] not in tuple(LOSSES):  # a list or mapping has no hash
        raise ValueError(f"{key}.type is {value['type']!r}; allowed: {', '.join(LOSSES)}")
    return parse_dataclass(LOSSES[value["type"]], value, key)


def parse_dataclass(kind, value, key):
    require(isinstance(value, dict), key or "params.yaml", value, "a mapping")
    hints = get_type_hints(kind)
    known = {f.metadata.get("key", f.name): f for f in fields(kind)}
    for name in value:
        if name not in known:
            raise ValueError(unknown_key(f"{key}.{name}".lstrip("."), name, known))
    result = {}
    for name, spec in known.items():
        place = f"{key}.{name}".lstrip(".")
        if name in value:
            result[spec.name] = parse(hints[spec.name], value[name], place)
            check_limits(spec, result[spec.name], place)
        elif spec.default is MISSING and spec.default_factory is MISSING:
            raise ValueError(f"{place} is missing; it has no default")
    return kind(**result)


def check_limits(spec, value, key):
    low, high = spec.metadata.get("limits", (BOTTOMLESS, ENDLESS))
    for number in value if isinstance(value, list) else [value]:
        if not isinstance(number, (int, float)):
            continue
        if not low <= number <= high or abs(number) == ENDLESS:
            raise ValueError(f"{key} is {number}; allowed: {low} to {high}")


def require(condition, key, value, wanted):
    if not condition:
        raise ValueError(f"{key} is {value!r}; it takes {wanted}")


def unknown_key(place, name, known):
    close = get_close_matches(str(name), known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"allowed: {', '.join(known)}"
    return f"unknown key {place} in params.yaml; {hint}"
