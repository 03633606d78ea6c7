"""A preset's settings on real photos: the LVIS v0.5 sample, with its annotations, as train images.

All 1,230 or 1,203 categories are in place. Weights are random: the published ones are not at hand.
"""

from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path

from pipeline import params
from pipeline.data.sources import files
from pipeline.files import read_json, write_json
from pipeline.params import Compute
from pipeline.params.parts import Loss

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = "data/lvis_v0.5_sample"
PLAIN = dict(loss=Loss("bce"), features=None)


def settings_of(preset, shared: Path, folder: Path, steps, batch, precision="fp32", **compute):
    """Of an epoch of ``steps`` steps; ``folder`` gets the annotation files.

    Beside ``bacl`` there is ``plain``: the same stage with BCE alone.
    """
    own = params.load(ROOT / "configs/presets" / f"{preset}.yaml")
    write_sample(shared, "v0.5" if "v0.5" in preset else "v1", folder, steps, batch)
    place = str(shared / SAMPLE / "val2017")
    split = {n: files.Split(annotations=f"{n}.json", images=place) for n in ("train", "val")}
    short = dict(epochs=1, milestones=[])
    bacl = replace(own.classifier["bacl"], **short)
    return replace(
        own,
        data=files.Data(
            name="sample", source="files", annotations=str(folder / "annotations"), **split
        ),
        detector=replace(own.detector, weights=None),
        train=replace(own.train, batch_size=batch, precision=precision),
        representation={n: replace(b, **short) for n, b in own.representation.items()},
        classifier={"bacl": bacl, "plain": replace(bacl, **PLAIN)},
        compute=Compute(**compute),
    )


def baseline_of(settings) -> str:
    """The representation that learns by cross entropy."""
    return next(name for name, block in settings.representation.items() if block.loss.type != "bce")


def write_sample(shared, version, folder, steps, batch):
    """``steps * batch`` train images, each photo again and again where there are too few; a single
    step takes the most crowded ones, val the most crowded one. All categories of ``version``.

    An annotation finds its category by the synset.
    """
    sample = read_json(shared / SAMPLE / "lvis_val_66_with_images.json")
    categories = read_json(shared / f"data/lvis_meta/lvis_{version}_train_cat_info.json")
    synset = {category["id"]: category["synset"] for category in sample["categories"]}
    wanted = {category["synset"]: category["id"] for category in categories}
    found = {image["id"]: [] for image in sample["images"]}
    for annotation in sample["annotations"]:
        category = wanted.get(synset[annotation["category_id"]])
        if category and annotation["image_id"] in found:
            found[annotation["image_id"]].append({**annotation, "category_id": category})
    for image in sample["images"]:
        for name in ("neg_category_ids", "not_exhaustive_category_ids"):
            image[name] = [wanted[synset[c]] for c in image[name] if synset[c] in wanted]
    photos = [image for image in sample["images"] if found[image["id"]]]
    crowded = sorted(photos, key=lambda image: -len(found[image["id"]]))
    train = list(islice(cycle(crowded if steps == 1 else photos), steps * batch))
    for split, chosen in (("train", train), ("val", crowded[:1])):
        content = dict(numbered(chosen, found), categories=categories)
        write_json(folder / f"annotations/{split}.json", content)


def numbered(images, found):
    """Images and annotations with ids from 1, so that an image may come more than once."""
    annotations = [
        {**annotation, "image_id": number}
        for number, image in enumerate(images, start=1)
        for annotation in found[image["id"]]
    ]
    return dict(
        images=[{**image, "id": number} for number, image in enumerate(images, start=1)],
        annotations=[{**a, "id": number} for number, a in enumerate(annotations, start=1)],
    )
