"""A folder that MLflow can load and serve, from the files of ``models/<method>/``; no torch.

The weights are linked, not copied: whoever uploads the folder reads them where they are.
"""

import importlib.metadata
import io
import re
from pathlib import Path

import mlflow.pyfunc
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import Array, Object, Property
from PIL import Image, ImageDraw

from pipeline.serving import model_folder as data_folder

LOADER = "pipeline.serving.detector"
CODE = Path(__file__).resolve().parents[1]
PROJECT = "bacl-pipeline"
SERVING = (
    "torch", "onedl-mmcv", "onedl-mmengine", "onedl-mmdetection", "mlflow", "hotcoco",
    "pycocotools", "numpy", "pandas", "psutil", "pyarrow", "ruamel.yaml", "tqdm",
)  # fmt: skip
SCORE_THRESHOLD, MAX_PER_IMAGE = 0.05, 100  # of an answer that somebody looks at


def save(folder: Path, root: Path, params, method: str, model: Model) -> None:
    """Write the MLflow model of ``method`` in the project ``root`` to the new folder ``folder``."""
    texts = folder.with_name("detector")
    texts.mkdir()
    data_folder.write_texts(texts, root, params, method)
    masks = data_folder.has_masks(data_folder.detector(texts / data_folder.CONFIG))
    mlflow.pyfunc.save_model(
        folder,
        loader_module=LOADER,
        data_path=texts,
        code_paths=[CODE],
        pip_requirements=requirements(),
        signature=signature(masks),
        input_example=[example_image()],
        mlflow_model=model,
    )
    weights = (root / "models" / method / data_folder.WEIGHTS).resolve()
    (folder / "data" / texts.name / data_folder.WEIGHTS).symlink_to(weights)
    model.model_size_bytes += weights.stat().st_size
    model.save(folder / "MLmodel")


def requirements() -> list[str]:
    """What answering needs, pinned as in pyproject.toml: exact where it changes numbers."""
    lines = [re.sub(r"\s", "", line) for line in importlib.metadata.requires(PROJECT)]
    return [line for line in lines if re.match(r"[\w.-]+", line)[0] in SERVING]


def signature(masks: bool) -> ModelSignature:
    """An image in, one row a detection out."""
    columns = [
        ColSpec("long", "image"),
        ColSpec("long", "category_id"),
        ColSpec("string", "name"),
        ColSpec("string", "frequency"),
        ColSpec("double", "score"),
        ColSpec(Array("double"), "box"),
    ]
    if masks:
        parts = [Property("size", Array("long")), Property("counts", "string")]
        columns.append(ColSpec(Object(parts), "mask"))
    params = ParamSchema(
        [
            ParamSpec("score_threshold", "double", SCORE_THRESHOLD),
            ParamSpec("max_per_image", "long", MAX_PER_IMAGE),
        ]
    )
    found = ModelSignature(Schema([ColSpec("binary")]), Schema(columns), params)
    # MLflow's word for a model that checks its input itself. It would otherwise make a DataFrame of
    # everything, which an array of three dimensions cannot be.
    found._is_signature_from_type_hint = True
    return found


def example_image() -> bytes:
    """A small PNG."""
    image = Image.new("RGB", (64, 48), (90, 120, 150))
    draw = ImageDraw.Draw(image)
    draw.ellipse((8, 8, 28, 28), (220, 60, 40))
    draw.rectangle((36, 14, 56, 40), (40, 160, 70))
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True)
    return content.getvalue()
