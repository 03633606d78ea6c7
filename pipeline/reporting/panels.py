"""The gallery's pictures: the photo once, and per method an svg layer of boxes and labels over it.

The layers are vectors: labels stay sharp at every size and in print, in any script the reader's
browser can draw, and one photo serves all methods.
"""

import base64
import io
import itertools
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

import matplotlib
from PIL import Image, ImageFont

from pipeline.data.image_file import read_image
from pipeline.reporting.findings import counted
from pipeline.reporting.scenes import Box, found, scenes

WIDTH = 320  # of a panel, in svg units; a column of the page is about as many pixels wide
SMALLEST = 320  # a smaller photo is enlarged to this longest side, in pixels
LARGEST = 720  # a larger one is reduced to it
FONT_SIZE = 10.5
TAG_HEIGHT = 13.5
MOST_HIDDEN = 0.5  # of a tag: with more of it under others it is left out
LONGEST_NAME = 33

Rectangle = tuple[float, float, float, float]  # x, y, width, height in svg units


@dataclass(frozen=True)
class Label:
    """A drawn box: all in svg units; the tag is the strip that holds the text, None without room.

    ``path`` is the mask's outline as svg path data, "" without a mask.
    """

    box: Box
    x: float
    y: float
    width: float
    height: float
    text: str
    tag: Rectangle | None
    path: str


@dataclass(frozen=True)
class Panel:
    title: str
    note: str
    description: str
    labels: list[Label]


@dataclass(frozen=True)
class Picture:
    """One row of the gallery; ``photo`` is a data URI; the panels are WIDTH x ``height``."""

    key: str
    name: str
    photo: str
    height: float
    panels: list[Panel]


def pictures(inputs) -> list[Picture]:
    return [picture(inputs, scene) for scene in scenes(inputs)]


def picture(inputs, scene) -> Picture:
    image = scene.image
    scale = WIDTH / image["width"]
    height = image["height"] * scale
    note = objects_note(scene, inputs.grouping)
    panels = [panel("ground truth", note, scene.truth, inputs.grouping, scale, height)]
    for method, boxes in scene.detections.items():
        note = f"{found(scene, method)} of {len(scene.truth)} found"
        panels.append(panel(method, note, boxes, inputs.grouping, scale, height))
    path = inputs.val_images / image["file_name"]
    return Picture(f"photo-{image['id']}", image["file_name"], photo(path), height, panels)


def objects_note(scene, grouping) -> str:
    rarest = grouping.groups[0]
    count = sum(b.group == rarest.code for b in scene.truth)
    return f"{counted(len(scene.truth), 'objects')}, {count} {rarest.of('').strip()}"


def photo(path) -> str:
    """The image as a JPEG data URI; ``ValueError`` where it is absent or not an image."""
    try:
        pixels = read_image(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ValueError(f"the val image {path} cannot be read: {error}") from None
    image = Image.fromarray(pixels[..., ::-1])
    scale = min(max(1.0, SMALLEST / max(image.size)), LARGEST / max(image.size))
    size = [max(1, round(s * scale)) for s in image.size]
    out = io.BytesIO()
    image.resize(size, Image.Resampling.LANCZOS).save(out, "JPEG", quality=85, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"


def panel(title, note, boxes, grouping, scale, height) -> Panel:
    """Tags are placed for the best score first and drawn for it last, on top."""
    labels: list[Label] = []
    edges = [scaled(box, scale) for box in boxes]
    for box in boxes:
        tags = [known.tag for known in labels if known.tag]
        labels.append(label(box, scale, height, tags, edges))
    return Panel(title, note, f"{title}: {spoken(boxes, grouping)}", labels[::-1])


def spoken(boxes, grouping) -> str:
    """What the panel shows, for those who hear it."""
    texts = [
        f"{b.name}, {grouping.name(b.group)}"
        if b.score is None
        else f"{b.name} {b.score:.2f}, {b.verdict}"
        for b in boxes
    ]
    return "; ".join(texts) or "nothing"


def scaled(box, scale) -> Rectangle:
    x0, y0, x1, y1 = (c * scale for c in box.corners)
    return x0, y0, x1 - x0, y1 - y0


def label(box, scale, height, tags, edges) -> Label:
    edge = scaled(box, scale)
    name = shortened(box.name)
    text = name if box.score is None else f"{name} {box.score:.2f}"
    width = min(text_width(text) + 6, WIDTH)
    tag = place(edge, width, height, tags, edges)
    return Label(box, *edge, text, tag, svg_path(box.outline, scale))


def svg_path(outline, scale) -> str:
    lines = (" ".join(f"{x * scale:.1f},{y * scale:.1f}" for x, y in line) for line in outline)
    return "".join(f"M{line}Z" for line in lines)


def shortened(name) -> str:
    """The middle goes: what tells "CIRCLED DIGIT EIGHT" from its family often stands at the end."""
    if len(name) <= LONGEST_NAME:
        return name
    half = (LONGEST_NAME - 1) // 2
    return f"{name[:half].rstrip()}…{name[-half:].lstrip()}"


def place(edge, width, height, tags, edges) -> Rectangle | None:
    """A tag at its box, inside the picture: on the least of the other tags, then of the boxes.

    None where the other tags would hide most of it.
    """
    x, y, wide, tall = edge
    inside = (y, y + tall - TAG_HEIGHT)
    along = itertools.product((x, x + wide - width), (y - TAG_HEIGHT, y + tall, *inside))
    beside = itertools.product((x + wide, x - width), inside)
    spots = [
        (min(max(left, 0), WIDTH - width), min(max(top, 0), height - TAG_HEIGHT), width, TAG_HEIGHT)
        for left, top in (*along, *beside)
    ]
    # rounded, or floats would choose between places that are equally free
    best = min(spots, key=lambda spot: [round(covered(spot, kind)) for kind in (tags, edges)])
    return best if covered(best, tags) <= MOST_HIDDEN * width * TAG_HEIGHT else None


def covered(rectangle, others) -> float:
    return sum(overlap(rectangle, other) for other in others)


def overlap(a, b) -> float:
    """The area that two rectangles share."""
    wide = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    high = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(wide, 0) * max(high, 0)


@lru_cache(1)
def font():
    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", 100)


def text_width(text) -> float:
    """In svg units: measured in DejaVu Sans; wide scripts, which it lacks, count 1 em a letter.

    The svg states this width too (textLength), so a reader's other font cannot leave the tag.
    """
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    narrow = "".join(c for c in text if unicodedata.east_asian_width(c) not in "WF")
    return (font().getlength(narrow) / 100 + wide) * FONT_SIZE
