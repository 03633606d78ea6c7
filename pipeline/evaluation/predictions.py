"""Predictions as columns, from this project's parquet or from an LVIS result list in JSON."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.evaluation.truth import Truth
from pipeline.files import read_json

BOX = ("x", "y", "w", "h")
COLUMNS = ("image_id", "category_id", *BOX, "score")


@dataclass(frozen=True)
class Predictions:
    """N detections: ``image`` and ``category`` [N] are positions in the ``Truth``'s lists.

    ``boxes`` [N, 4] are xywh in pixels (None where the masks decide), ``score`` [N]; ``masks``
    [N] holds the counts of compressed RLEs in the size of the image.
    """

    path: Path
    image: np.ndarray
    category: np.ndarray
    boxes: np.ndarray | None
    score: np.ndarray
    masks: pa.ChunkedArray | None

    def __len__(self):
        return len(self.score)

    def take(self, rows):
        """The detections at these positions, in their order."""
        return Predictions(
            path=self.path,
            image=self.image[rows],
            category=self.category[rows],
            boxes=None if self.boxes is None else self.boxes[rows],
            score=self.score[rows],
            masks=None if self.masks is None else self.masks.take(pa.array(rows)),
        )


def has_masks(path: str | Path) -> bool:
    """Whether a parquet file of predictions carries the column ``rle``."""
    return "rle" in open_parquet(path).schema_arrow.names


def read_predictions(path: str | Path, truth: Truth, iou_type: str = "bbox") -> Predictions:
    """Read and check predictions against the ground truth they are for.

    With ``segm`` only the masks count, with ``bbox`` only the boxes. ``ValueError`` for a file
    that is missing, unreadable or lacks a column, an id that the annotations do not know, a box
    or score that is not finite, and a box of negative size.
    """
    path = Path(path)
    read = {".parquet": read_parquet, ".json": read_results}.get(path.suffix)
    if read is None:
        raise ValueError(f"{path} is neither .parquet nor .json")
    columns = read(path, truth, iou_type)
    check_numbers(path, columns)
    return Predictions(
        path=path,
        image=known_positions(path, "image_id", columns["image_id"], truth.image_ids, truth),
        category=known_positions(
            path, "category_id", columns["category_id"], truth.category_ids, truth
        ),
        boxes=columns.get("boxes"),
        score=columns["score"],
        masks=columns.get("rle"),
    )


def open_parquet(path):
    try:
        return pq.ParquetFile(path)
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist; run the stage `predict`") from None
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is not a readable parquet file: {one_line(error)}") from None


def read_parquet(path, truth, iou_type):
    file = open_parquet(path)
    wanted = COLUMNS if iou_type == "bbox" else ("image_id", "category_id", "score", "rle")
    missing = [name for name in wanted if name not in file.schema_arrow.names]
    if missing:
        found = ", ".join(file.schema_arrow.names)
        raise ValueError(f"{path} has no column {', '.join(missing)}; it has: {found}")
    try:
        table = file.read(columns=list(wanted))
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is not a readable parquet file: {one_line(error)}") from None
    columns = {name: numbers(path, table, name) for name in wanted if name not in (*BOX, "rle")}
    if iou_type == "segm":
        columns["rle"] = table["rle"].cast(pa.large_string())
        check_no_nulls(path, table, "rle")
    else:
        columns["boxes"] = np.stack([numbers(path, table, name) for name in BOX], axis=1)
    return columns


def numbers(path, table, name):
    """A column as int64 (ids) or as the floats it is stored in."""
    check_no_nulls(path, table, name)
    column = table[name]
    is_id = name.endswith("_id")
    try:
        if is_id or not pa.types.is_floating(column.type):
            column = column.cast(pa.int64() if is_id else pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"{path}: column {name} has no numbers: {one_line(error)}") from None
    return column.to_numpy()


def check_no_nulls(path, table, name):
    if table[name].null_count:
        raise ValueError(f"{path}: {table[name].null_count} rows have no {name}")


def read_results(path, truth, iou_type):
    """LVIS's result list: dicts of image_id, category_id, score and bbox or segmentation."""
    results = read_json(path)
    if not isinstance(results, list):
        raise ValueError(f"{path} is not an LVIS result file: it must be a list of detections")
    shape = "bbox" if iou_type == "bbox" else "segmentation"
    for row, result in enumerate(results):
        for name in ("image_id", "category_id", "score", shape):
            if not isinstance(result, dict) or name not in result:
                raise ValueError(f"{path}: detection {row} has no {name!r}")
    columns = {
        "image_id": values(path, results, "image_id", np.int64),
        "category_id": values(path, results, "category_id", np.int64),
        "score": values(path, results, "score", np.float64),
    }
    if iou_type == "segm":
        return {**columns, "rle": mask_counts(path, results, truth)}
    boxes = values(path, results, "bbox", np.float64)
    if results and boxes.shape != (len(results), 4):
        raise ValueError(f"{path}: every bbox must be four numbers [x, y, width, height]")
    return {**columns, "boxes": boxes.reshape(-1, 4)}


def values(path, results, name, kind):
    """One field of all detections as an array of ``kind``."""
    kinds, wanted = ("i", "whole numbers") if kind is np.int64 else ("if", "numbers")
    if not results:
        return np.zeros(0, kind)
    try:
        found = np.array([result[name] for result in results])
    except ValueError:
        found = np.array(None)
    if found.dtype.kind not in kinds:
        raise ValueError(f"{path}: the {name} of every detection must be made of {wanted}")
    return found.astype(kind)


def mask_counts(path, results, truth):
    sizes = {image["id"]: [image["height"], image["width"]] for image in truth.images}
    for row, result in enumerate(results):
        mask = result["segmentation"]
        if not isinstance(mask, dict) or not isinstance(mask.get("counts"), str):
            raise ValueError(f"{path}: the segmentation of detection {row} is not a compressed RLE")
        size = sizes.get(result["image_id"], mask.get("size"))
        if mask.get("size") != size:
            raise ValueError(
                f"{path}: the mask of detection {row} has the size {mask.get('size')}, "
                f"but image {result['image_id']} in {truth.path} has {size} (height, width)"
            )
    return pa.chunked_array([[r["segmentation"]["counts"] for r in results]], pa.large_string())


def check_numbers(path, columns):
    for name in ("score", "boxes"):
        if name in columns:
            finite = np.isfinite(columns[name])
            finite = finite.all(axis=1) if finite.ndim == 2 else finite
            refuse_rows(path, ~finite, f"a {name.removesuffix('es')} that is not a finite number")
    if "boxes" in columns:
        refuse_rows(path, (columns["boxes"][:, 2:] < 0).any(axis=1), "a box of negative size")


def refuse_rows(path, wrong, what):
    if wrong.any():
        raise ValueError(
            f"{path}: {wrong.sum()} of {len(wrong)} detections have {what}; "
            f"the first is row {int(np.argmax(wrong))}"
        )


def known_positions(path, name, ids, known, truth):
    """Where each id stands among ``known`` (ascending)."""
    place = np.searchsorted(known, ids)
    wrong = np.ones(len(ids), bool)
    if len(known):
        wrong = known[np.minimum(place, len(known) - 1)] != ids
    if wrong.any():
        raise ValueError(
            f"{path}: {wrong.sum()} of {len(ids)} detections have a {name} that {truth.path} does "
            f"not know; the first is {ids[np.argmax(wrong)]} (are the two of the same data set?)"
        )
    return place.astype(np.int32)


def one_line(error):
    return " ".join(str(error).split())
