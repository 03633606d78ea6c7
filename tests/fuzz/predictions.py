"""Damages of prediction files; what is accepted must score as lvis-api scores the same content."""

import contextlib
import copy
import datetime
import io
import json
import math
import os
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pycocotools import mask as rle

from tests.fuzz import dataset
from tests.fuzz.outcome import (
    HALF_WRITTEN,
    RIGHT,
    SILENT,
    TRACEBACK,
    UNCLEAR,
    Damage,
    NoMeaning,
    Outcome,
    last_line,
    refusal,
)
from tests.fuzz.prepared import need, read_rle
from tests.fuzz.values import Raw, brief, damage_bytes, odd_value, pick, replace_file, to_json

COLUMNS = ("image_id", "category_id", "x", "y", "w", "h", "score", "rle")
SIZE = [dataset.HEIGHT, dataset.WIDTH]
NUMBERS = (
    None, float("nan"), float("inf"), -1, 0, 0.5, 1e308, 1e-320, 2**31, 2**53 + 1, 2**63 - 1,
    True, "7", "text", [1], 99, -(2**63),
)  # fmt: skip


def make(rng, folder: Path) -> Damage:
    """Write annotations.json and a damaged predictions.parquet or predictions.json."""
    truth = ground_truth(rng)
    (folder / "annotations.json").write_text(json.dumps(truth), encoding="utf-8")
    results = detections(rng, truth)
    iou_type = pick(rng, ["bbox", "bbox", "segm"])
    suffix = pick(rng, [".parquet", ".json"])
    (folder / "iou_type").write_text(iou_type)
    path = folder / f"predictions{suffix}"
    kind = pick(rng, ["content", "content", "content", "content", "content", "bytes", "file"])
    if kind == "content":
        write = write_damaged_parquet if suffix == ".parquet" else write_damaged_json
        damage = write(rng, path, results, iou_type)
    else:
        write_parquet(path, results) if suffix == ".parquet" else write_json(path, results)
        what = damage_bytes(rng, path) if kind == "bytes" else replace_file(rng, path)
        damage = Damage(what)
    return Damage(f"{path.name} ({iou_type}): {damage.text}", (r"predictions\.", *damage.named))


def ground_truth(rng):
    """LVIS's format, with all that its evaluation looks at."""
    document = dataset.documents(rng)["val"]
    frequencies = dict(zip((1, 2, 30), "rcf", strict=True))
    for category in document["categories"]:
        category.update(frequency=frequencies[category["id"]])
    for image in document["images"]:
        image.update(neg_category_ids=[], not_exhaustive_category_ids=[])
    document["images"][1]["not_exhaustive_category_ids"] = [2]
    annotations = [a for a in document["annotations"] if not a["iscrowd"]]
    for annotation in annotations[:-3]:
        x, y, w, h = annotation["bbox"]
        annotation.update(area=w * h, segmentation=[[x, y, x + w, y, x + w, y + h, x, y + h]])
    document["images"][3]["neg_category_ids"] = [1, 2]
    return {**document, "annotations": annotations[:-3]}


def detections(rng, truth):
    """Two of each object, one shifted, in random order of scores."""
    results = []
    for annotation in truth["annotations"]:
        for shift in (0, 3):
            x, y, w, h = annotation["bbox"]
            box = [float(max(0, x - shift)), float(y), float(w), float(h)]
            results.append({
                "image_id": annotation["image_id"],
                "category_id": annotation["category_id"],
                "bbox": box,
                "score": float(np.round(rng.random(), 3)),
                "segmentation": {"size": SIZE, "counts": counts_of(box)},
            })  # fmt: skip
    results.append({**copy.deepcopy(results[0]), "image_id": 4, "category_id": 2})
    return results


def counts_of(box, size=SIZE):
    x, y, w, h = map(int, box)
    mask = np.zeros(size, np.uint8, "F")
    mask[y : y + h, x : x + w] = 1
    return rle.encode(mask)["counts"].decode()


def write_json(path, results):
    path.write_text(to_json(results), encoding="utf-8")


# --- parquet --------------------------------------------------------------------------------


def columns_of(results):
    columns = {name: [r[name] for r in results] for name in ("image_id", "category_id", "score")}
    columns.update({n: [r["bbox"][k] for r in results] for k, n in enumerate("xywh")})
    columns["rle"] = [r["segmentation"]["counts"] for r in results]
    return {name: pa.array(columns[name]) for name in COLUMNS}


def write_parquet(path, results):
    pq.write_table(pa.table(columns_of(results)), path)


def write_damaged_parquet(rng, path, results, iou_type):
    columns = columns_of(results)
    relevant = [n for n in COLUMNS if n not in (("rle",) if iou_type == "bbox" else tuple("xywh"))]
    name = pick(rng, relevant)
    change = pick(rng, [of_other_type, of_other_type, of_other_type, with_odd_value,
                        with_odd_value, of_other_columns])  # fmt: skip
    table, what = change(rng, columns, name)
    options = pick(rng, [{}, {"row_group_size": 3}, {"compression": "zstd"}, {"version": "1.0"}])
    try:
        pq.write_table(table, path, **options)
    except (pa.ArrowException, ValueError):
        pq.write_table(table, path)
    named = {"rle": "rle|mask"}.get(name, rf"\b{name}\b|box" if name in "xywh" else name)
    if "other columns" in what:
        named = "column|detection|row"
    return Damage(f"{name} {what}", (named,))


def of_other_type(rng, columns, name):
    column = columns[name]
    kind = pick(rng, list(TYPES))
    try:
        columns[name] = TYPES[kind](column)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        kind = "null"
        columns[name] = TYPES[kind](column)
    return pa.table(columns), f"as {kind}"


def from_python(kind, convert):
    return lambda column: pa.array([convert(value) for value in column.to_pylist()], kind)


def as_int(value):
    return value if isinstance(value, int) else 1 if isinstance(value, str) else int(value)


TYPES = {
    **{
        kind: lambda column, kind=kind: pa.array(
            [as_int(v) if "int" in kind else v for v in column.to_pylist()]
        ).cast(kind)
        for kind in ("int8", "int16", "int32", "uint8", "uint32", "uint64", "float", "double",
                     "halffloat", "string", "large_string", "binary", "large_binary", "bool")
    },
    "dictionary": lambda column: column.dictionary_encode(),
    "decimal": from_python(
        pa.decimal128(38, 6),
        lambda v: Decimal(str(v)).quantize(Decimal("1e-6")) if not isinstance(v, str) else None,
    ),
    "timestamp": from_python(pa.timestamp("us"), lambda v: datetime.datetime(1970, 1, 2)),
    "date": from_python(pa.date32(), lambda v: datetime.date(1970, 1, 1 + as_int(v) % 20)),
    "duration": from_python(pa.duration("s"), lambda v: datetime.timedelta(seconds=as_int(v))),
    "time": from_python(pa.time64("us"), lambda v: datetime.time(second=as_int(v) % 60)),
    "list": lambda column: pa.array([[value] for value in column.to_pylist()]),
    "struct": lambda column: pa.array([{"a": value} for value in column.to_pylist()]),
    "map": lambda column: pa.array([[("a", v)] for v in column.to_pylist()],
                                   pa.map_(pa.string(), column.type)),
    "null": lambda column: pa.nulls(len(column)),
    "text": from_python(pa.string(), str),
    "dictionary of text": lambda column: from_python(pa.string(), str)(column).dictionary_encode(),
    "chunks": lambda column: pa.chunked_array([column[:3], column[3:]]),
    "string view": lambda column: column.cast(pa.string_view()),
    "unsigned beyond": from_python(pa.uint64(), lambda v: 2**63 + as_int(v)),
}  # fmt: skip


def with_odd_value(rng, columns, name):
    """One value is odd, or (where the type does not take it) all become what takes it."""
    values = columns[name].to_pylist()
    row = int(rng.integers(len(values)))
    odd = pick(rng, RLES if name == "rle" else NUMBERS)
    values[row] = odd
    try:
        columns[name] = pa.array(values)
    except (pa.ArrowException, OverflowError):
        values = [odd] * len(values)
        columns[name] = pa.array(values)
    return pa.table(columns), f"[{row}] = {brief(odd)}"


RLES = (
    None, "", "PPd", "text", "\x00", "caf\u00e9", "0" * 5000, counts_of([0, 0, 3, 3], [64, 48]),
    counts_of([0, 0, 3, 3], [8, 8]), counts_of([0, 0, 3, 3], [480, 640]), counts_of([0, 0, 0, 0]),
    counts_of([0, 0, 64, 48]), b"\xff\xfe", b"abc", 7, [1, 2], {"counts": "1"},
    '{"size": [48, 64], "counts": "1"}', "o" * 12 + "1", " ", "\n",
)  # fmt: skip


def of_other_columns(rng, columns, name):
    kind = pick(rng, ["without it", "twice", "renamed", "no rows", "no columns", "more", "capital",
                      "shuffled", "doubled rows", "nested"])  # fmt: skip
    arrays, names = list(columns.values()), list(columns)
    place = names.index(name)
    if kind == "without it":
        del arrays[place], names[place]
    elif kind == "twice":
        arrays.append(pick(rng, [arrays[place], pa.nulls(len(arrays[0]))]))
        names.append(name)
    elif kind == "renamed":
        names[place] = pick(rng, [f" {name}", f"{name}s", "", f"{name}\n", "\u00fc"])
    elif kind == "capital":
        names[place] = name.upper()
    elif kind == "no rows":
        arrays = [array[:0] for array in arrays]
    elif kind == "no columns":
        arrays, names = [], []
    elif kind == "more":
        names += ["x.y", "bbox", "info"]
        arrays += [pa.nulls(len(arrays[0])), pa.array([[1.0]] * len(arrays[0])),
                   pa.array([{"a": [1]}] * len(arrays[0]))]  # fmt: skip
    elif kind == "shuffled":
        arrays, names = arrays[::-1], names[::-1]
    elif kind == "doubled rows":
        arrays = [pa.concat_arrays([array, array]) for array in arrays]
    else:
        boxes = pa.array([dict.fromkeys("xywh", 1.0)] * len(arrays[0]))
        arrays = [arrays[0], arrays[1], boxes, arrays[6]]
        names = [names[0], names[1], "bbox", "score"]
    return pa.table(arrays, names=names), f"other columns: {kind}"


# --- JSON -----------------------------------------------------------------------------------


def write_damaged_json(rng, path, results, iou_type):
    row = int(rng.integers(len(results)))
    result = results[row]
    shape = "bbox" if iou_type == "bbox" else "segmentation"
    field = pick(rng, ["image_id", "category_id", "score", shape, shape])
    named = (rf"(?:detection|row) {row}\b", said(field))
    kind = pick(rng, ["value", "value", "value", "inside", "inside", "removed", "item", "document"])
    if kind == "value":
        result[field] = odd_value(rng)
        what = f"[{row}].{field} = {brief(result[field])}"
    elif kind == "inside" and iou_type == "bbox":
        place = int(rng.integers(4))
        result["bbox"][place] = odd_value(rng)
        what, named = f"[{row}].bbox[{place}] = {brief(result['bbox'][place])}", (named[0], "b?box")
    elif kind == "inside":
        mask = pick(rng, odd_masks(rng, result["bbox"]))
        result["segmentation"] = mask
        what, named = f"[{row}].segmentation = {brief(mask)}", (named[0], said("segmentation"))
    elif kind == "removed":
        del result[field]
        what = f"[{row}].{field} removed"
    elif kind == "item":
        results[row] = odd_value(rng)
        what, named = f"[{row}] = {brief(results[row])}", (named[0],)
    else:
        results, what = pick(rng, [
            ([], "[]"), ({}, "{}"), ({"annotations": results}, "under annotations"),
            (None, "null"), ("text", "a text"), ([results], "in a list"), (results * 2, "twice"),
            (Raw("[" * 300_000 + "]" * 300_000), "nested deep"),
            (Raw('{"a":' * 3000 + "1" + "}" * 3000), "nested deep"),
            ([{**r, "id": 1, "info": {"a": [1]}} for r in results], "with more keys"),
            ([{k: v for k, v in r.items() if k in ("image_id", "score")} for r in results], "bare"),
            ([{**r, "score": int(r["score"] * 9)} for r in results], "with whole scores"),
            ([{**r, "bbox": [*map(int, r["bbox"])]} for r in results], "with whole boxes"),
            ([{**r, "image_id": float(r["image_id"])} for r in results], "with float ids"),
            ([{**r, "image_id": str(r["image_id"])} for r in results], "with text ids"),
            ([{**r, "image_id": r["image_id"] + 2**63} for r in results], "with unsigned ids"),
            ([{**r, "bbox": r["bbox"][:3]} for r in results], "with boxes of three"),
        ])  # fmt: skip
        named = ()
    write_json(path, results)
    return Damage(what, named)


def said(field):
    return {"segmentation": "segmentation|mask|RLE", "bbox": "b?box"}.get(field, field)


def odd_masks(rng, box):
    total = SIZE[0] * SIZE[1]
    x, y, w, h = box
    polygon = [x, y, x + w, y, x + w, y + h]
    return [
        polygon, [polygon], [], None,
        {"size": SIZE, "counts": [100, 25, total - 125]},
        {"size": SIZE, "counts": [100, 25]},
        {"size": SIZE[::-1], "counts": counts_of(box, SIZE[::-1])},
        {"size": SIZE, "counts": counts_of([0, 0, 3, 3], [8, 8])},
        {"size": SIZE, "counts": counts_of([0, 0, 3, 3], [480, 640])},
        {"size": [float(SIZE[0]), SIZE[1]], "counts": counts_of(box)},
        {"size": list(map(str, SIZE)), "counts": counts_of(box)},
        {"size": odd_value(rng), "counts": counts_of(box)},
        {"size": SIZE, "counts": odd_value(rng)},
        *({"size": SIZE, "counts": counts} for counts in RLES if isinstance(counts, str)),
        {"size": SIZE}, {"counts": counts_of(box)},
    ]  # fmt: skip


# --- judging --------------------------------------------------------------------------------


def judge(folder: Path, damage: Damage) -> Outcome:
    """`python -m pipeline.evaluation` refuses in one line, or agrees with lvis-api."""
    from pipeline.command_line import one_line
    from pipeline.evaluation.__main__ import main

    os.chdir(folder)
    path = next(folder.glob("predictions.*"), folder / "predictions.json")
    iou_type = Path("iou_type").read_text()
    arguments = ["--annotations", "annotations.json", "--predictions", path.name]
    arguments += ["--out", "out/metrics.json", "--iou-type", iou_type]
    errors, refused = io.StringIO(), False
    try:
        printed = contextlib.redirect_stdout(io.StringIO())
        with printed, contextlib.redirect_stderr(errors), one_line():
            main(arguments)
    except SystemExit:
        refused = True
    except Exception as error:
        return Outcome(TRACEBACK, last_line(error))
    lines = [line for line in errors.getvalue().split("\n") if not line.startswith("note: ")]
    if refused:
        if Path("out").exists():
            return Outcome(HALF_WRITTEN, errors.getvalue())
        if not lines[0].startswith("error: ") or lines[1:] != [""]:
            return Outcome(UNCLEAR, f"not one line: {errors.getvalue()!r}")
        return refusal(lines[0], damage.named)
    try:
        results = read_slowly(path, iou_type)
    except NoMeaning as reason:
        return Outcome(SILENT, f"accepted: {reason}")
    return compare(results, iou_type)


def compare(results, iou_type):
    from tests.tools.lvis_api import KEYS, reference

    found = json.loads(Path("out/metrics.json").read_text())
    with contextlib.redirect_stdout(io.StringIO()):
        expected, _ = reference("annotations.json", results, iou_type) if results else ({}, {})
    wrong = [key for key in expected if not same(found[key], expected[key])]
    if wrong:
        return Outcome(SILENT, f"{wrong[0]} is {found[wrong[0]]}, lvis-api's {expected[wrong[0]]}")
    return Outcome(RIGHT, f"{found[KEYS[0]]}")


def same(a, b):
    return a is b if a is None or b is None else abs(a - b) <= 1e-9


def read_slowly(path, iou_type):
    """The detections, for lvis-api."""
    if path.suffix == ".parquet":
        return [of_row(row, iou_type) for row in read_rows(path, iou_type)]
    try:
        results = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise NoMeaning(f"no JSON: {error}") from None
    need(isinstance(results, list), "no list")
    return [of_result(result, iou_type) for result in results]


def read_rows(path, iou_type):
    used = [n for n in COLUMNS if n not in (("rle",) if iou_type == "bbox" else tuple("xywh"))]
    try:
        file = pq.ParquetFile(path)
        names = file.schema_arrow.names
        need(all(names.count(name) == 1 for name in used), f"the columns are {names}")
        return file.read(used).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise NoMeaning(f"no parquet file: {error}") from None


def of_row(row, iou_type):
    result = {"image_id": row["image_id"], "category_id": row["category_id"], "score": row["score"]}
    if iou_type == "bbox":
        return of_result({**result, "bbox": [row[name] for name in "xywh"]}, iou_type)
    counts = row["rle"].decode() if isinstance(row["rle"], bytes) else row["rle"]
    return of_result({**result, "segmentation": {"size": SIZE, "counts": counts}}, iou_type)


def of_result(result, iou_type):
    need(isinstance(result, dict), f"a detection is {result!r}")
    shape = "bbox" if iou_type == "bbox" else "segmentation"
    need({"image_id", "category_id", "score", shape} <= result.keys(), "a field is missing")
    clean = {name: number(result[name]) for name in ("image_id", "category_id", "score")}
    for name in ("image_id", "category_id"):
        need(clean[name] == int(clean[name]), f"{name} is {clean[name]!r}")
        clean[name] = int(clean[name])
    need(clean["image_id"] in (1, 2, 3, 4), f"image_id is {clean['image_id']}")
    need(clean["category_id"] in (1, 2, 30), f"category_id is {clean['category_id']}")
    if iou_type == "bbox":
        box = result["bbox"]
        need(isinstance(box, list) and len(box) == 4, f"bbox is {box!r}")
        clean["bbox"] = [number(value) for value in box]
        need(min(clean["bbox"][2:]) >= 0, "a box of negative size")
        return clean
    mask = result["segmentation"]
    need(isinstance(mask, dict), f"segmentation is {mask!r}")
    read_rle(mask, tuple(SIZE))
    need(isinstance(mask["counts"], str), "uncompressed counts")
    return {**clean, "segmentation": mask}


def number(value):
    need(isinstance(value, int | float | Decimal) and not isinstance(value, bool),
         f"{value!r} is no number")  # fmt: skip
    need(abs(value) < 2**1024 and math.isfinite(value), f"{value!r} is not finite")
    return float(value) if isinstance(value, Decimal) else value
