"""The masks of predictions, compressed RLEs: each must fill its image to the last pixel.

There are millions, so compiled code sums them up; `pipeline.data.rle` reads single ones.
"""

import numpy as np
import pyarrow as pa
from numba import njit

from pipeline.data.rle import MOST_CHARACTERS

DAMAGED = -1


def check_masks(path, truth, image: np.ndarray, counts: pa.ChunkedArray) -> None:
    """``ValueError`` for the first mask whose runs are not as many pixels as its ``image`` has."""
    pixels = np.array([i["height"] * i["width"] for i in truth.images], np.int64)
    covered = pixels_of(counts)
    wrong = covered != pixels[image]
    if wrong.any():
        row = int(np.argmax(wrong))
        refuse(path, truth, row, truth.images[image[row]], covered[row])


def refuse(path, truth, row, image, covered):
    if covered == DAMAGED:
        raise ValueError(f"{path}: the mask of detection {row} is no compressed RLE")
    raise ValueError(
        f"{path}: the mask of detection {row} is of {covered} pixels, but image {image['id']} in "
        f"{truth.path} has {image['height']} x {image['width']}; is it of another size?"
    )


def pixels_of(texts: pa.ChunkedArray) -> np.ndarray:
    """How many pixels the runs of each text are [N]; ``DAMAGED`` where it is no compressed RLE."""
    chunks = [sums_of_chunk(chunk) for chunk in texts.chunks]
    return np.concatenate([np.zeros(0, np.int64), *chunks])


def sums_of_chunk(chunk: pa.LargeStringArray) -> np.ndarray:
    _, ends, characters = chunk.buffers()
    if not len(chunk):
        return np.zeros(0, np.int64)
    ends = np.frombuffer(ends, np.int64)[chunk.offset : chunk.offset + len(chunk) + 1]
    return sums_of_runs(np.frombuffer(characters or b"", np.uint8), ends)


@njit(cache=True)
def sums_of_runs(characters, ends):
    """COCO's alphabet: five bits a character; from the fourth run on differences to two before."""
    sums = np.zeros(len(ends) - 1, np.int64)
    for text in range(len(sums)):
        total = before = last = value = 0
        digits = runs = 0
        good = ends[text] < ends[text + 1]
        for position in range(ends[text], ends[text + 1]):
            code = np.int64(characters[position]) - 48
            if code < 0 or code > 63 or digits >= MOST_CHARACTERS:
                good = False
                break
            value |= (code & 31) << (5 * digits)
            digits += 1
            if code & 32:
                continue
            if code & 16:
                value -= 1 << (5 * digits)
            run = value + before if runs > 2 else value
            if run < 0:
                good = False
                break
            total, before, last = total + run, last, run
            value = digits = 0
            runs += 1
        sums[text] = total if good and digits == 0 else DAMAGED
    return sums
