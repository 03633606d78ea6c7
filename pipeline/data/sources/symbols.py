"""``symbols``: a generated, LVIS-format, long-tailed detection set that needs no download.

Categories are Unicode symbols drawn from the DejaVu Sans that matplotlib ships. The train split
follows a Zipf law over categories, val is balanced; both carry LVIS's federated fields and exact
masks. The same seed gives the same bytes.
"""

import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from pipeline.data.categories import frequency, write_categories
from pipeline.files import write_json
from pipeline.params.data import Source
from pipeline.params.limits import limited


@dataclass(frozen=True, kw_only=True)
class Data(Source):
    """``exponent`` is that of the Zipf law, ``image_size`` the side of a square in pixels."""

    seed: int = limited(0, low=0)
    categories: int = limited(60, low=1, high=400)
    exponent: float = limited(1.25, low=0, high=5)
    train_images: int = limited(1000, low=1)
    val_images: int = limited(300, low=1)
    image_size: int = limited(128, low=32, high=2048)

    def prepare(self, out: Path) -> dict[str, dict]:
        """Also images/{train,val}/*.png."""
        from pipeline.data.drawing import SPLITS, choose_characters, generate_split
        from pipeline.data.index import write_index

        characters = choose_characters(self)
        splits = {split: generate_split(self, split, characters, out) for split in SPLITS}
        categories = describe(characters, splits["train"][1])
        documents = {
            split: {"images": images, "annotations": annotations, "categories": categories}
            for split, (images, annotations) in splits.items()
        }
        for split, document in documents.items():
            write_json(out / f"{split}.json", document)
            write_index(out / "index" / split, document)
        write_categories(out / "categories.csv", categories)
        return documents


def describe(characters, annotations):
    """LVIS categories, with the frequency that the train annotations give them."""
    instances = Counter(a["category_id"] for a in annotations)
    images = Counter(c for c, _ in {(a["category_id"], a["image_id"]) for a in annotations})
    return [
        {
            "id": i,
            "name": unicodedata.name(character).capitalize(),
            "symbol": character,
            "frequency": frequency(images[i]),
            "image_count": images[i],
            "instance_count": instances[i],
        }
        for i, character in enumerate(characters, 1)
    ]
