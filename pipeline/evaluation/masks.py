"""The masks of predictions, compressed RLEs: each must fill its image to the last pixel.

There are millions, so they are summed up many at a time; `pipeline.data.rle` says what their
characters mean.
"""

import numpy as np
import pyarrow as pa

from pipeline.data.rle import MOST_CHARACTERS

AT_ONCE = 2**15
DAMAGED = -1


def check_masks(path, truth, image: np.ndarray, counts: pa.ChunkedArray) -> None:
    """``ValueError`` for the first mask whose runs are not as many pixels as its ``image`` has."""
    pixels = np.array([i["height"] * i["width"] for i in truth.images], np.int64)
    for start in range(0, len(counts), AT_ONCE):
        covered = pixels_of(counts.slice(start, AT_ONCE).to_pylist())
        wrong = np.flatnonzero(covered != pixels[image[start : start + AT_ONCE]])
        if len(wrong):
            row = start + int(wrong[0])
            refuse(path, truth, row, truth.images[image[row]], covered[wrong[0]])


def refuse(path, truth, row, image, covered):
    if covered == DAMAGED:
        raise ValueError(f"{path}: the mask of detection {row} is no compressed RLE")
    raise ValueError(
        f"{path}: the mask of detection {row} is of {covered} pixels, but image {image['id']} in "
        f"{truth.path} has {image['height']} x {image['width']}; is it of another size?"
    )


def pixels_of(texts: list[str]) -> np.ndarray:
    """How many pixels the runs of each text are [N]; ``DAMAGED`` where it is no compressed RLE."""
    encoded = [text.encode() for text in texts]
    lengths = np.array([len(text) for text in encoded], np.int64)
    codes = np.frombuffer(b"".join(encoded), np.uint8).astype(np.int64) - 48
    text = np.repeat(np.arange(len(texts)), lengths)  # which one each character is of
    last = codes & 0x20 == 0  # characters of their number
    final = np.cumsum(lengths)[lengths > 0] - 1
    damaged = lengths == 0
    damaged[text[(codes < 0) | (codes > 63)]] = True
    damaged[text[final[~last[final]]]] = True
    last[final] = True
    ends = np.flatnonzero(last)
    starts = np.concatenate([[0], ends + 1])[: len(ends)]
    digits = ends - starts + 1
    damaged[text[ends[digits > MOST_CHARACTERS]]] = True
    digits = np.minimum(digits, MOST_CHARACTERS)
    place = 5 * np.minimum(np.arange(len(codes)) - np.repeat(starts, ends - starts + 1), 12)
    numbers = np.add.reduceat((codes & 0x1F) << place, starts) if len(codes) else codes
    numbers = numbers - (codes[ends] & 0x10 != 0) * (1 << 5 * digits)
    runs = summed_by_parity(numbers, text[ends])
    damaged[text[ends][runs < 0]] = True
    pixels = np.bincount(text[ends], runs, len(texts)).astype(np.int64)
    return np.where(damaged, DAMAGED, pixels)


def summed_by_parity(numbers, text):
    """From the third number of a text on, each is added to the run two before."""
    rank = np.arange(len(text)) - np.searchsorted(text, text)
    group = 3 * text + np.where(rank == 0, 0, 1 + rank % 2)
    order = np.argsort(group, kind="stable")
    sums = np.cumsum(numbers[order])
    begins = np.flatnonzero(np.diff(group[order], prepend=-1))
    before = (sums - numbers[order])[begins]
    runs = np.empty_like(sums)
    runs[order] = sums - np.repeat(before, np.diff(begins, append=len(sums)))
    return runs
