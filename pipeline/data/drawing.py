"""Images of Unicode symbols on textured backgrounds, with exact masks: what ``symbols`` is made of.

The symbols are those of the DejaVu Sans that matplotlib ships. An image depends on (seed, split,
index) alone.
"""

from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from pycocotools import mask as rle
from tqdm import tqdm

# Whole families are drawn, those of the hardest look-alikes first: confusable pairs are what
# pairwise margins are for.
FAMILIES = {
    "black circled digits": range(0x2776, 0x2780),
    "circled digits": range(0x2780, 0x278A),
    "black circled sans digits": range(0x278A, 0x2794),
    "chess pieces": range(0x2654, 0x2660),
    "stars": [0x2605, 0x2606, *range(0x2729, 0x2735)],
    "asterisks": range(0x2735, 0x2742),
    "card suits": range(0x2660, 0x2668),
    "snowflakes": range(0x2743, 0x274C),
    "dice": range(0x2680, 0x2686),
    "trigrams": range(0x2630, 0x2638),
    "arrows": [0x2794, *range(0x2798, 0x27B0), *range(0x27B1, 0x27BF)],
    "zodiac": range(0x2648, 0x2654),
    "planets": range(0x263D, 0x2648),
    "crosses": range(0x2715, 0x271D),
    "hands": range(0x261A, 0x2620),
    "weather": range(0x2600, 0x2605),
    "notes": range(0x2669, 0x2670),
    "tools": [*range(0x2692, 0x269D), *range(0x2701, 0x2705), *range(0x270C, 0x2715)],
    "signs": [0x2622, 0x2623, 0x262E, 0x262F, *range(0x2638, 0x263D), 0x267B, 0x26A0, 0x26A1],
}
SPLITS = ("train", "val")
SYMBOLS_PER_IMAGE = (3, 7)
RELATIVE_SIZE = (0.18, 0.38)
ROTATION = 20
NEGATIVE_SHARE = 0.5
NOT_EXHAUSTIVE_SHARE = 0.05
GLYPH_SIZE = 96
SIZE_TRIES, PLACE_TRIES = 6, 10


def choose_characters(data):
    """``data.categories`` characters, from the most to the least frequent; families are mixed."""
    drawable = [
        chr(code) for family in FAMILIES.values() for code in family if is_drawable(chr(code))
    ]
    if data.categories > len(drawable):
        raise ValueError(f"data.categories is {data.categories}; symbols has {len(drawable)}")
    order = np.random.default_rng([data.seed, 2]).permutation(data.categories)
    return [drawable[i] for i in order]


def is_drawable(character):
    missing = font(32).getmask("\uffff")
    glyph = font(32).getmask(character)
    return glyph.getbbox() is not None and bytes(glyph) != bytes(missing)


@cache
def font(size):
    from matplotlib import get_data_path

    return ImageFont.truetype(str(Path(get_data_path(), "fonts/ttf/DejaVuSans.ttf")), size)


def generate_split(data, split, characters, out):
    """Draw one split; returns LVIS ``images`` and ``annotations``."""
    labels = deal_labels(data, split)
    folder = out / "images" / split
    folder.mkdir(parents=True, exist_ok=True)
    images, annotations = [], []
    for index, wanted in enumerate(tqdm(labels, desc=f"draw {split}", unit="image")):
        rng = np.random.default_rng([data.seed, SPLITS.index(split), index])
        image, objects, hidden = draw_image(rng, data.image_size, wanted, characters)
        name = f"{index + 1:06d}.png"
        image.save(folder / name)
        present = {o["category_id"] for o in objects}
        images.append(
            {
                "id": index + 1,
                "file_name": name,
                "width": image.width,
                "height": image.height,
                "neg_category_ids": choose_negatives(rng, present | hidden, len(characters)),
                "not_exhaustive_category_ids": sorted(hidden),
            }
        )
        for found in objects:
            annotations.append({"id": len(annotations) + 1, "image_id": index + 1, **found})
    return images, annotations


def deal_labels(data, split):
    """One array of labels (0..categories-1) per image: Zipf counts in train, equal ones in val."""
    count = {"train": data.train_images, "val": data.val_images}[split]
    rng = np.random.default_rng([data.seed, 3, SPLITS.index(split)])
    sizes = rng.integers(*SYMBOLS_PER_IMAGE, size=count, endpoint=True)
    ranks = np.arange(1, data.categories + 1)
    share = ranks**-data.exponent if split == "train" else np.ones(data.categories)
    expected = sizes.sum() * share / share.sum()
    pool = np.repeat(np.arange(data.categories), np.maximum(1, np.rint(expected)).astype(int))
    pool = np.resize(rng.permutation(pool), sizes.sum())
    return np.split(pool, np.cumsum(sizes)[:-1])


def draw_image(rng, size, labels, characters):
    """Returns the image, its objects and the categories with a drawn but unannotated instance."""
    canvas = background(rng, size)
    taken = np.zeros((size, size), bool)
    objects = [draw_symbol(rng, canvas, taken, int(label), characters) for label in labels]
    objects = [found for found in objects if found]
    hidden = set()
    if objects and rng.random() < NOT_EXHAUSTIVE_SHARE:
        again = objects[rng.integers(len(objects))]["category_id"]
        if draw_symbol(rng, canvas, taken, again - 1, characters):
            hidden = {again}
    noise = rng.normal(0, 6, canvas.shape)
    return Image.fromarray(np.clip(canvas + noise, 0, 255).astype(np.uint8)), objects, hidden


def background(rng, size):
    """A smooth random texture, float [size, size, 3] of 0..255."""
    cells = int(rng.integers(3, 9))
    coarse = Image.fromarray(rng.integers(60, 196, (cells, cells, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC), float)
    return smooth * rng.uniform(0.3, 0.8) + rng.uniform(0, 110)


def draw_symbol(rng, canvas, taken, label, characters):
    """Draw one symbol where nothing stands yet; returns its annotation, or None without a place."""
    size = len(canvas)
    for largest in np.linspace(*RELATIVE_SIZE[::-1], SIZE_TRIES):
        alpha = glyph(rng, characters[label], int(size * rng.uniform(RELATIVE_SIZE[0], largest)))
        free = size - np.array(alpha.shape)
        for y, x in rng.integers(free, size=(PLACE_TRIES, 2)):
            place = np.s_[y : y + alpha.shape[0], x : x + alpha.shape[1]]
            if not taken[place].any():
                paint(rng, canvas[place], alpha)
                taken[place] = True
                mask = np.zeros((size, size), bool)
                mask[place] = alpha > 0.5
                return annotation(mask, label + 1)
    return None


def glyph(rng, character, pixels):
    """The rotated character as coverage 0..1, cropped to what is visible at 0.5."""
    image = upright(character).rotate(
        rng.uniform(-ROTATION, ROTATION), Image.Resampling.BILINEAR, expand=True
    )
    scale = pixels / max(image.size)
    shape = [max(4, round(side * scale)) for side in image.size]
    alpha = np.asarray(image.resize(shape, Image.Resampling.LANCZOS), float) / 255
    rows, columns = np.flatnonzero((alpha > 0.5).any(1)), np.flatnonzero((alpha > 0.5).any(0))
    if not len(rows):  # strokes too thin for this size
        return glyph(rng, character, pixels + 4)
    return alpha[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


@cache
def upright(character):
    """The character, large and tightly cropped, as an 8-bit coverage image."""
    drawn = font(GLYPH_SIZE)
    left, top, right, bottom = drawn.getbbox(character)
    image = Image.new("L", (right - left + 4, bottom - top + 4))
    ImageDraw.Draw(image).text((2 - left, 2 - top), character, font=drawn, fill=255)
    return image


def paint(rng, patch, alpha):
    """Blend a colour that stands out from ``patch`` into it, in place, slightly blurred."""
    towards = 255.0 if patch.mean() < 128 else 0.0
    colour = towards + (rng.uniform(0, 255, 3) - towards) * rng.uniform(0.1, 0.6)
    soft = Image.fromarray((alpha * 255).astype(np.uint8))
    soft = np.asarray(soft.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.8))), float) / 255
    patch += soft[..., None] * (colour - patch)


def annotation(mask, category_id):
    """LVIS fields of one object from its exact mask [H, W]."""
    encoded = rle.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {
        "category_id": category_id,
        "bbox": rle.toBbox(encoded).tolist(),
        "area": float(mask.sum()),
        "segmentation": {"size": encoded["size"], "counts": encoded["counts"].decode()},
        "iscrowd": 0,
    }


def choose_negatives(rng, present, categories):
    absent = np.array(sorted(set(range(1, categories + 1)) - present), int)
    return absent[rng.random(len(absent)) < NEGATIVE_SHARE].tolist()
