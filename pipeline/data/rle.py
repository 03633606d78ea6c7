"""COCO's run-length encoded masks, read strictly: the runs must fill the image to the last pixel.

A mask is walked column by column; its runs are background and foreground in turns. Files have them
as a list (uncompressed) or as a text of COCO's own alphabet, five bits a character.
"""

import numpy as np

MOST_CHARACTERS = 12  # of one number: 60 bits


def read_runs(mask: dict, size: list[int]) -> np.ndarray:
    """The runs [R] of ``mask`` in an image of ``size`` [height, width].

    ``ValueError``, which begins with "is an RLE", says why there are none.
    """
    if mask.get("size") != size:
        raise ValueError(
            f"is an RLE of the size {mask.get('size')!r}, but its image has {size} (height, width)"
        )
    counts = mask.get("counts")
    if isinstance(counts, str):
        runs = decompressed(counts)
    elif isinstance(counts, list) and all(type(count) is int for count in counts):
        runs = np.array(counts, object)  # whole numbers of any length
    else:
        raise ValueError("is an RLE whose counts are neither a text nor a list of whole numbers")
    pixels = size[0] * size[1]
    if (runs < 0).any() or runs.sum() != pixels:
        raise ValueError(
            f"is an RLE whose counts do not fill its image of {size[0]} x {size[1]} pixels"
        )
    return runs.astype(np.int64)


def decompressed(text: str) -> np.ndarray:
    """The numbers of COCO's alphabet; from the third on each is added to the one two before."""
    codes = np.frombuffer(text.encode(errors="replace"), np.uint8).astype(np.int64) - 48
    if not len(codes):
        return codes
    last = codes & 0x20 == 0  # of the characters of a number
    if (codes < 0).any() or (codes > 63).any() or not last[-1]:
        raise ValueError("is an RLE whose counts are damaged")
    ends = np.flatnonzero(last)
    starts = np.concatenate([[0], ends[:-1] + 1])
    if (ends - starts).max() >= MOST_CHARACTERS:
        raise ValueError("is an RLE whose counts are damaged")
    place = 5 * (np.arange(len(codes)) - np.repeat(starts, ends - starts + 1))
    values = np.add.reduceat((codes & 0x1F) << place, starts)
    values -= (codes[ends] & 0x10 != 0) * (1 << 5 * (ends - starts + 1))
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values


def area(runs: np.ndarray) -> int:
    """The number of foreground pixels."""
    return int(runs[1::2].sum())


def bounds(runs: np.ndarray, height: int) -> tuple[int, int, int, int] | None:
    """The box around the foreground as x0, y0, x1, y1, its ends excluded; None without any."""
    ends = np.cumsum(runs)[1::2]
    starts, ends = (ends - runs[1::2])[runs[1::2] > 0], ends[runs[1::2] > 0]
    if not len(ends):
        return None
    left, right = starts // height, (ends - 1) // height
    over = left != right  # a run that goes on in the next column touches both borders
    top = np.where(over, 0, starts % height).min()
    bottom = np.where(over, height, (ends - 1) % height + 1).max()
    return int(left.min()), int(top), int(right.max()) + 1, int(bottom)


def cropped(runs: np.ndarray, height: int) -> tuple[tuple[int, int, int, int], np.ndarray]:
    """The box around the foreground, and the runs within it; zeros and no runs without any.

    A pixel's place in the box grows with its place in the image, so the ends of the runs are moved.
    """
    box = bounds(runs, height)
    if box is None:
        return (0, 0, 0, 0), runs[:0]
    left, top, right, bottom = box
    ends = np.cumsum(runs)
    places = (ends // height - left) * (bottom - top)
    places += np.clip(ends % height - top, 0, bottom - top)
    places = np.clip(places, 0, (right - left) * (bottom - top))
    return box, np.diff(places, prepend=0)


def decoded(runs: np.ndarray, height: int, width: int) -> np.ndarray:
    """The pixels [height, width], uint8, of 0 and 1."""
    values = np.zeros(len(runs), np.uint8)
    values[1::2] = 1
    return np.repeat(values, runs).reshape(width, height).T


def encoded(pixels: np.ndarray) -> np.ndarray:
    """The runs of ``pixels`` [height, width] of 0 and 1."""
    flat = pixels.T.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    background = [0] if flat[:1].any() else []
    ends = np.concatenate([background, changes, [flat.size]])
    return np.diff(ends, prepend=0).astype(np.uint32)
