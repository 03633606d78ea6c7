"""One reader of image files: what `prepare` checks is what training, prediction and a server see.

Pillow reads the header and OpenCV the pixels, as mmdet does: 8 bits a channel, blue first, without
transparency, of several frames the first. The EXIF rotation is applied here, because OpenCV's
versions do so for different formats.
"""

import io
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import ExifTags, Image

# to turn and to mirror, by EXIF orientation: 5 to 8 change width and height
TURNS = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: pixels.transpose(1, 0, 2)[:, ::-1],
    7: lambda pixels: pixels.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda pixels: pixels.transpose(1, 0, 2)[::-1],
}
SWAPPING = (5, 6, 7, 8)
UNREADABLE_MODES = ("F", "I")  # floats, and whole numbers of 32 bits: OpenCV has no rule for them
UNREADABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)

cv2.setLogLevel(0)  # its complaints go past the message of ours


@dataclass(frozen=True)
class Header:
    """``size`` is width and height as a viewer shows them, ``stored`` as they lie in the file.

    ``kind`` is what decides how it is decoded: format, mode, and how its values are stored.
    """

    size: tuple[int, int]
    stored: tuple[int, int]
    orientation: int
    kind: tuple

    @property
    def sixteen_bit(self) -> bool:
        _, mode, storage = self.kind
        return ";16" in mode or ";16" in storage


def read_header(content: io.IOBase) -> Header:
    """Of an open binary file; ``ValueError`` where it is no image."""
    try:
        with Image.open(content) as opened:
            return header_of(opened)
    except UNREADABLE as error:
        raise ValueError(damaged(error)) from None


def header_of(opened: Image.Image) -> Header:
    kind = (opened.format, opened.mode, storage(opened))
    turn = orientation(opened)
    size = opened.size[::-1] if turn in SWAPPING else opened.size
    return Header(size, opened.size, turn, kind)


def storage(opened) -> str:
    """How the first piece of pixels lies in the file, such as "raw I;16B"."""
    for codec, _, _, arguments in opened.tile[:1]:
        parts = arguments if isinstance(arguments, tuple) else (arguments,)
        return " ".join([codec, *(part for part in parts if isinstance(part, str))])
    return ""


def orientation(opened) -> int:
    """1 to 8; 1 for TIFF, which both libraries have turned already."""
    content = opened.info.get("exif")
    if not content or opened.format == "TIFF":
        return 1
    exif = Image.Exif()
    try:
        exif.load(content)
        found = exif.get(ExifTags.Base.Orientation)
    except Exception:  # Pillow has no error of its own for broken EXIF, which turns nothing
        return 1
    return found if found in TURNS else 1


def read_image(content: bytes) -> np.ndarray:
    """The pixels [height, width, 3], uint8, blue first; ``ValueError`` ends "is not ..."."""
    header = read_header(io.BytesIO(content))
    if header.kind[1] in UNREADABLE_MODES:
        raise ValueError(unreadable(header))
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise ValueError(unreadable(header))
    if header.orientation in TURNS:
        pixels = np.ascontiguousarray(TURNS[header.orientation](pixels))
    if pixels.shape[1::-1] != header.size:  # of a GIF, say, whose first frame is smaller
        raise ValueError(unreadable(header))
    return pixels


def unreadable(header) -> str:
    name, mode, _ = header.kind
    return (
        f"is a {name} image of the mode {mode} that cannot be decoded; save it as JPEG or PNG with "
        "8 or 16 bits a channel"
    )


def check_complete(content: io.IOBase) -> None:
    """``ValueError`` where pixels are missing: OpenCV would fill them with grey."""
    try:
        with Image.open(content) as opened:
            opened.load()
    except UNREADABLE as error:
        raise ValueError(damaged(error)) from None


def damaged(error) -> str:
    """Without the file's name, which the caller gives, on one line."""
    if isinstance(error, Image.UnidentifiedImageError):
        return "is not a readable image (of no known format); save it as JPEG or PNG"
    said = " ".join(str(getattr(error, "strerror", None) or error).split())
    return f"is not a readable image ({said}); replace the file by a whole one"
