"""This project's predictions: a parquet file with a row a detection, as columns of numbers."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.messages import in_one_line, shown

BOX = ("x", "y", "w", "h")
COLUMNS = ("image_id", "category_id", *BOX, "score")
TEXTS = ("is_string", "is_large_string", "is_string_view", "is_binary", "is_large_binary")


def open_parquet(path):
    try:
        return pq.ParquetFile(path)
    except FileNotFoundError:
        raise ValueError(f"{path} does not exist; run the stage `predict`") from None
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is not a readable parquet file: {in_one_line(error)}") from None


def read_parquet(path, iou_type):
    """image_id, category_id, score and boxes [N, 4], or rle for the masks, by their names."""
    file = open_parquet(path)
    wanted = COLUMNS if iou_type == "bbox" else ("image_id", "category_id", "score", "rle")
    check_columns(path, file.schema_arrow.names, wanted)
    try:
        table = file.read(columns=list(wanted))
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is not a readable parquet file: {in_one_line(error)}") from None
    columns = {name: numbers(path, table, name) for name in wanted if name not in (*BOX, "rle")}
    if iou_type == "segm":
        columns["rle"] = texts(path, table, "rle")
    else:
        columns["boxes"] = np.stack([numbers(path, table, name) for name in BOX], axis=1)
    return columns


def check_columns(path, found, wanted):
    missing = [name for name in wanted if name not in found]
    if missing:
        has = shown(", ".join(found)).strip("'")
        raise ValueError(f"{path} has no column {', '.join(missing)}; it has: {has}")
    twice = [name for name in wanted if found.count(name) > 1]
    if twice:
        raise ValueError(f"{path} has the column {twice[0]} {found.count(twice[0])} times")


def numbers(path, table, name):
    """A column as int64 (ids) or as the floats it is stored in."""
    column = plain(path, table, name)
    floats = pa.types.is_floating(column.type)
    if not (floats or pa.types.is_integer(column.type) or pa.types.is_decimal(column.type)):
        raise ValueError(f"{path}: column {name} has no numbers, but {shown_type(column.type)}")
    is_id = name.endswith("_id")
    try:
        if is_id or not floats:
            column = column.cast(pa.int64() if is_id else pa.float64())
    except pa.ArrowException as error:
        wanted = "whole numbers below 2^63" if is_id else "numbers"
        raise ValueError(f"{path}: column {name} must be {wanted}: {in_one_line(error)}") from None
    return column.to_numpy()


def texts(path, table, name):
    """A column as texts; pycocotools gives them as bytes."""
    column = plain(path, table, name)
    if not any(getattr(pa.types, kind)(column.type) for kind in TEXTS):
        raise ValueError(f"{path}: column {name} has no texts, but {shown_type(column.type)}")
    try:
        return column.cast(pa.large_string())
    except pa.ArrowException as error:
        raise ValueError(f"{path}: column {name} has no texts: {in_one_line(error)}") from None


def plain(path, table, name):
    """A column that is no dictionary and in which no row is empty."""
    column = table[name]
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if column.null_count:
        raise ValueError(f"{path}: {column.null_count} rows have no {name}")
    return column


def shown_type(kind):
    return shown(str(kind)).strip("'")
