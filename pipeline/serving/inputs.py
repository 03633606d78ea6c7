"""What a caller gives -> an image as `predict` reads it: [height, width, 3] uint8, blue first.

Bytes go through the reader of the data set's files, so EXIF rotation, grey, palette, 16-bit and
transparent images come out alike.
"""

import base64
import binascii
import contextlib
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
from mlflow.environment_variables import _MLFLOW_IS_IN_SERVING_ENVIRONMENT
from mlflow.exceptions import MlflowException

from pipeline.data.image_file import read_image

BASE64 = re.compile(rb"[A-Za-z0-9+/\s]+=*\s*")  # no image file is made of these alone
HINT = "a server reads a text as base64, never as a file's name"


def listed(given) -> list:
    """The images of a request: one, several, or a table's only column of them."""
    if isinstance(given, pd.DataFrame):
        given = {n: given.iloc[:, n] for n in range(given.shape[1])}  # names may be equal
    if isinstance(given, dict):
        if len(given) != 1 or isinstance(column := next(iter(given.values())), dict):
            raise refused("a table of images has one column, named as you like, with one a row")
        return listed(column)
    if isinstance(given, np.ndarray):
        several = given.ndim == 1 or given.ndim == 4
        return list(given) if several else [given]
    return list(given) if isinstance(given, list | tuple | pd.Series) else [given]


def to_bgr(given, name: str) -> np.ndarray:
    """``given``: RGB array [height, width, 3] of uint8, encoded bytes, base64 text or a path.

    A server opens no path: whoever asks over HTTP must not read its disk. ``MlflowException``,
    which a server answers with code 400, has ``name``.
    """
    if isinstance(given, np.ndarray):
        return from_rgb(given, name)
    if isinstance(given, os.PathLike):
        return decode(read_file(given, name), f"{name} ({given})")
    if not isinstance(given, str | bytes):
        raise refused(f"{name} is a {type(given).__name__}; it takes an array, bytes or a path")
    if isinstance(given, str):
        return from_text(given, name)
    image = pixels(given)
    return decode(from_base64(given) or given, name) if image is None else image


def from_text(text, name):
    """A path or base64, which a path may look like: the file that is there, if it may be read."""
    serving = _MLFLOW_IS_IN_SERVING_ENVIRONMENT.get()
    content = None if not serving and is_file(text) else from_base64(text.encode(errors="replace"))
    if content is not None:
        return decode(content, name)
    if serving:
        raise refused(f"{name} is not base64; {HINT}")
    return decode(read_file(text, name), f"{name} ({text})")


def is_file(text):
    with contextlib.suppress(OSError, ValueError):  # too long for a path, or with a zero byte
        return Path(text).is_file()
    return False


def from_rgb(array, name):
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        found = f"{array.dtype} {list(array.shape)}"
        raise refused(f"{name} is an array of {found}; it takes uint8 [height, width, 3], RGB")
    return np.ascontiguousarray(array[..., ::-1])


def read_file(path, name):
    try:
        return Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a zero byte or half a character in a path
        reason = getattr(error, "strerror", error)
        raise refused(f"{name}: {str(path)!r} cannot be read: {reason}") from None


def from_base64(text):
    """None where it is something else. MLflow decodes it in some of its request formats only."""
    with contextlib.suppress(binascii.Error):
        return base64.b64decode(text) if BASE64.fullmatch(text) else None
    return None


def decode(content, name):
    image = pixels(content)
    if image is None:
        raise refused(f"{name} is not an image that can be read ({len(content)} bytes)")
    return image


def pixels(content):
    with contextlib.suppress(ValueError):
        return read_image(content)
    return None


def refused(message):
    return MlflowException.invalid_parameter_value(message)
