"""Damages of images: broken files, rare formats, rotations, odd names."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from tests.fuzz import dataset, prepared
from tests.fuzz.outcome import Damage
from tests.fuzz.values import damage_bytes, pick, replace_file

ORIENTATION = 0x0112
FORMATS = {
    ".jpg": ["JPEG", "MPO"], ".png": ["PNG"], ".webp": ["WEBP"], ".tif": ["TIFF"],
    ".avif": ["AVIF"], ".bmp": ["BMP"], ".gif": ["GIF"], ".jp2": ["JPEG2000"], ".ppm": ["PPM"],
    ".tga": ["TGA"], ".ico": ["ICO"], ".pcx": ["PCX"], ".dds": ["DDS"], ".sgi": ["SGI"],
    ".qoi": ["QOI"], ".pdf": ["PDF"], ".im": ["IM"], ".xbm": ["XBM"],
}  # fmt: skip


def make(rng, folder: Path) -> Damage:
    """Write the data set with one image that is odd."""
    prepared.write_project(rng, folder)
    docs = dataset.documents(rng)
    split = pick(rng, list(docs))
    record = pick(rng, docs[split]["images"])
    path = folder / "own_data" / split / record["file_name"]
    damage = pick(rng, DAMAGES)
    what, new = damage(rng, path, record)
    if new != path:
        record["file_name"] = new.name
    if what.startswith("named"):
        record["file_name"] = str(new.relative_to(folder / "own_data" / split))
    dataset.write_documents(folder / "own_data/annotations", docs)
    named = rf"/{split}/|{split}_00|{split}\.json"
    return Damage(f"{split}/{record['file_name']!r} {what}", (named,))


def broken(rng, path, record):
    return damage_bytes(rng, path), path


def replaced(rng, path, record):
    return replace_file(rng, path), path


def other_size(rng, path, record):
    size = pick(rng, [(64, 49), (32, 24), (48, 64), (1, 1), (640, 480)])
    dataset.picture(rng, *size).save(path)
    return f"of size {size}", path


def huge_header(rng, path, record):
    """A PNG that says it is of a size that no memory holds."""
    side = pick(rng, [20_000, 60_000, 2**31 - 1])
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    )  # fmt: skip
    if rng.random() < 0.5:
        record.update(width=side, height=side)
    return f"with a header of {side}x{side}", path


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def turned(rng, path, record):
    """An EXIF orientation; half of the records give the size as it is shown, half as stored."""
    suffix = pick(rng, [".jpg", ".png", ".webp", ".tif", ".avif", ".gif", ".bmp"])
    orientation = int(rng.integers(0, 10))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = dataset.picture(rng)
    sideways = orientation in (5, 6, 7, 8)
    shown_size = rng.random() < 0.5
    if sideways and shown_size:
        stored = stored.resize((48, 64))
    options = {"exif": exif if suffix == ".tif" else exif.tobytes()}
    new = path.with_suffix(suffix)
    path.unlink()
    stored.save(new, **({} if suffix in (".gif", ".bmp") else options))
    how = "shown" if shown_size else "stored"
    return f"turned by EXIF {orientation}, annotated as {how}", new


def other_mode(rng, path, record):
    suffix, mode = pick(rng, [
        (".jpg", "CMYK"), (".jpg", "L"), (".png", "1"), (".png", "I;16"), (".png", "P"),
        (".png", "RGBA"), (".png", "LA"), (".tif", "F"), (".tif", "I"),
        (".tif", "I;16"), (".tif", "CMYK"), (".tif", "1"), (".tif", "LAB"), (".tif", "RGBA"),
        (".webp", "RGBA"), (".gif", "L"), (".tif", "YCbCr"), (".tif", "P"),
    ])  # fmt: skip
    picture = dataset.picture(rng)
    if mode in ("F", "I", "I;16"):
        top = pick(rng, [1, 255, 4095, 65535] if mode == "F" else [255, 4095, 65535])
        kind = {"F": np.float32, "I": np.int32, "I;16": np.uint16}[mode]
        values = np.asarray(picture.convert("L"), float) / 255 * top
        picture, mode = Image.fromarray(values.astype(kind)), f"{mode} up to {top}"
    elif mode == "LAB":
        picture = Image.fromarray(np.asarray(picture), "RGB").convert("L").convert("RGB")
        picture = Image.merge("LAB", picture.split())
    else:
        picture = picture.convert(mode)
    new = path.with_suffix(suffix)
    path.unlink()
    transparent = {"transparency": 3} if mode == "P" and suffix == ".png" else {}
    picture.save(new, **transparent)
    return f"of mode {mode}", new


def other_format(rng, path, record):
    """Under its own suffix, or (often) under the one it had."""
    suffix = pick(rng, list(FORMATS))
    name = pick(rng, FORMATS[suffix])
    picture = dataset.picture(rng)
    data = io.BytesIO()
    try:
        (picture.convert("1") if name == "XBM" else picture).save(data, format=name)
    except (OSError, KeyError, ValueError):  # this build of Pillow cannot write it
        name, suffix, data = "BMP", ".bmp", io.BytesIO()
        picture.save(data, format=name)
    new = path if rng.random() < 0.4 else path.with_suffix(suffix)
    path.unlink()
    new.write_bytes(data.getvalue())
    return f"of format {name}", new


def several_frames(rng, path, record):
    suffix = pick(rng, [".gif", ".webp", ".tif", ".png", ".avif"])
    frames = [dataset.picture(rng) for _ in range(3)]
    if suffix == ".tif" and rng.random() < 0.5:
        frames[0] = frames[0].resize((32, 24))  # a thumbnail first
    new = path.with_suffix(suffix)
    path.unlink()
    frames[0].save(new, save_all=True, append_images=frames[1:])
    return f"with three frames, the first {frames[0].size}", new


def sixteen_bits_of_colour(rng, path, record):
    import cv2

    new = path.with_suffix(pick(rng, [".png", ".tif"]))
    path.unlink()
    values = np.asarray(dataset.picture(rng), np.uint16) * pick(rng, [1, 16, 257])
    cv2.imwrite(str(new), values)
    return f"of 3 x 16 bits, up to {values.max()}", new


def oddly_named(rng, path, record):
    name = pick(rng, [
        "a b.png", "a%20b.png", "a#b.png", "-rf.png", "\u00fc.png", "u\u0308.png", "\u732b.png",
        "a\nb.png", "a\tb.png", "a'b\".png", ".hidden.png", "noending", "a.PNG", "x" * 240 + ".png",
        "a;b.png", "a,b.png", "a\\b.png", "\u202egnp.exe.png", "$HOME.png", "a*.png", "sub/a.png",
        "sub/../a.png", "~.png", "con.png", "a.png ", "\udcff.png",
    ])  # fmt: skip
    new = path.parent / name
    (path.parent / "sub").mkdir()
    path.unlink()
    dataset.picture(rng).save(new, format="PNG")
    return "named so", new


def linked(rng, path, record):
    """A symbolic link to a file elsewhere, as data sets on clusters have it."""
    elsewhere = path.parent.parent / f"elsewhere{path.suffix}"
    path.rename(elsewhere)
    path.symlink_to(os.path.relpath(elsewhere, path.parent))
    return "is a link", path


DAMAGES = (
    broken, broken, replaced, other_size, huge_header, turned, turned, turned, other_mode,
    other_mode, other_format, other_format, several_frames, sixteen_bits_of_colour, oddly_named,
    oddly_named, linked,
)  # fmt: skip
judge = prepared.judge
