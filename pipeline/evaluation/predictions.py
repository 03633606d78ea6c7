"""Predictions as columns, from this project's parquet or from an LVIS result list in JSON."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from pipeline.evaluation.parquet import open_parquet, read_parquet
from pipeline.evaluation.results import read_results
from pipeline.evaluation.truth import Truth

FINITE = 1e100  # pixels; of larger ones the area would be infinite


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
    or score that is not finite, a box of negative size, and a mask that does not fill its image.
    """
    path = Path(path)
    if path.suffix not in (".parquet", ".json"):
        raise ValueError(f"{path} is neither .parquet nor .json")
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is a folder or a pipe; it must be a file")
    if path.suffix == ".parquet":
        columns = read_parquet(path, iou_type)
    else:
        columns = read_results(path, truth, iou_type)
    check_numbers(path, columns)
    predictions = Predictions(
        path=path,
        image=known_positions(path, "image_id", columns["image_id"], truth.image_ids, truth),
        category=known_positions(
            path, "category_id", columns["category_id"], truth.category_ids, truth
        ),
        boxes=columns.get("boxes"),
        score=columns["score"],
        masks=columns.get("rle"),
    )
    if predictions.masks is not None:
        from pipeline.evaluation.mask_sizes import check_masks  # it compiles, for half a second

        check_masks(path, truth, predictions.image, predictions.masks)
    return predictions


def check_numbers(path, columns):
    refuse_rows(path, ~np.isfinite(columns["score"]), "a score that is not a finite number")
    if "boxes" in columns:
        finite = (np.abs(columns["boxes"]) < FINITE).all(axis=1)
        refuse_rows(path, ~finite, "a box that is not a finite number")
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
        row = int(np.argmax(wrong))
        raise ValueError(
            f"{path}: {wrong.sum()} of {len(ids)} detections have a {name} that {truth.path} does "
            f"not know; the first is {ids[row]} in row {row} (are the two of the same data set?)"
        )
    return place.astype(np.int32)
