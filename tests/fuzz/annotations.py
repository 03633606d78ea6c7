"""Damages of annotation files: of a field, an item, a section, the text, the file."""

import copy
import json
import re
from pathlib import Path

from tests.fuzz import dataset, prepared
from tests.fuzz.outcome import Damage
from tests.fuzz.values import Raw, brief, damage_bytes, odd_value, pick, replace_file, to_json

FIELDS = {
    "images": (
        "id", "file_name", "width", "height", "neg_category_ids", "not_exhaustive_category_ids",
        "coco_url",
    ),
    "annotations": (
        "id", "image_id", "category_id", "bbox", "area", "segmentation", "iscrowd", "ignore",
    ),
    "categories": ("id", "name", "frequency", "image_count", "instance_count", "synset"),
}  # fmt: skip
SINGULAR = {"images": "image", "annotations": "annotation", "categories": "categor(?:y|ies)"}
SAID_AS = {  # other words that make a field recognizable in a message
    "bbox": "bbox|box",
    "segmentation": "segmentation|polygon|RLE|mask|bbox|box",
    "file_name": r"file_name|coco_url|/(?:train|val)\b",
    "coco_url": r"file_name|coco_url|/(?:train|val)\b",
    "width": r"width|\d+x\d+|size",
    "height": r"height|\d+x\d+|size",
    "iscrowd": "crowd",
    "id": r"\bids?\b|_id",
}
AN_ITEM = (
    r"(?:images?|annotations?|categor(?:y|ies)|\bids?)(?:\[\d+\]| \S*-?\w)|/(?:train|val)_00\d"
)


def make(rng, folder: Path) -> Damage:
    """Write the data set with one damage of an annotation file."""
    prepared.write_project(rng, folder)
    docs = dataset.documents(rng)
    kind = pick(rng, [*["field"] * 9, *["inside"] * 5, *["document"] * 2, "text", "text", "file",
                      "none"])  # fmt: skip
    split = pick(rng, list(docs))
    if kind == "none":
        dataset.write_documents(folder / "own_data/annotations", docs)
        return Damage("nothing", ("must be accepted",))
    if kind in ("text", "file"):
        dataset.write_documents(folder / "own_data/annotations", docs)
        path = folder / f"own_data/annotations/{split}.json"
        what = {"text": damage_text, "file": replace_file}[kind](rng, path)
        return Damage(f"{split}.json {what}", (in_file("train|val"),))
    damage = {"field": damage_field, "inside": damage_inside, "document": damage_document}[kind]
    result = damage(rng, docs, split)
    dataset.write_documents(folder / "own_data/annotations", docs)
    return Damage(f"{split}.json: {result.text}", (in_file(split), *result.named))


def in_file(split):
    return rf"(?:{split})\.json|data\.(?:{split})\b|/(?:{split})\b|^(?:{split}): |in (?:{split})\b"


# --- one field ------------------------------------------------------------------------------


def damage_field(rng, docs, split):
    section = pick(rng, ["images", "annotations", "annotations", "categories"])
    field = pick(rng, FIELDS[section])
    items = docs[split][section]
    everywhere = rng.random() < 0.2
    position = int(rng.integers(len(items)))
    chosen = items if everywhere else [items[position]]
    before = copy.deepcopy(items[position])
    removed, value = rng.random() < 0.15, odd_value(rng)
    for item in chosen:
        if removed:
            item.pop(field, None)
        else:
            item[field] = value
    what = f"{'all ' if everywhere else ''}{section}[{position}].{field} "
    return Damage(
        what + ("removed" if removed else f"= {brief(value)}"),
        (named_item(section, position, before, everywhere or field.endswith("id")), said(field)),
    )


def said(field):
    return SAID_AS.get(field, re.escape(field))


def named_item(section, position, item, any_item):
    if any_item:
        return AN_ITEM
    names = [rf"{section}\[{position}\]", rf"{SINGULAR[section]} (?:id )?{item['id']}\b"]
    if "file_name" in item:
        names.append(re.escape(item["file_name"]))
    return "|".join(names)


# --- within a field -------------------------------------------------------------------------


def damage_inside(rng, docs, split):
    """Numbers within lists, RLEs, units of boxes, ids that clash or point nowhere."""
    change = pick(rng, list(INSIDE))
    return INSIDE[change](rng, docs[split])


def one_of_bbox(rng, document):
    position, item = an_annotation(rng, document)
    place, value = int(rng.integers(4)), odd_value(rng)
    item["bbox"][place] = value
    return annotation_damage(position, item, f"bbox[{place}] = {brief(value)}", "bbox")


def boxes_of_other_length(rng, document):
    position, item = an_annotation(rng, document)
    item["bbox"] = pick(rng, [item["bbox"][:3], item["bbox"] * 2, [item["bbox"]]])
    return annotation_damage(position, item, f"bbox = {item['bbox']}", "bbox")


def one_of_polygon(rng, document):
    position, item = an_annotation(rng, document)
    x, y, w, h = item["bbox"]
    polygon, value = [x, y, x + w, y, x + w, y + h], odd_value(rng)
    polygon[int(rng.integers(6))] = value
    item["segmentation"] = [polygon]
    return annotation_damage(position, item, f"a polygon with {brief(value)}", "segmentation")


def odd_polygons(rng, document):
    position, item = an_annotation(rng, document)
    x, y, w, h = item["bbox"]
    good = [x, y, x + w, y, x + w, y + h]
    odd = pick(rng, [
        good, [good[:4]], [good[:5]], [[]], [good, good[:2]], [good, []], [[x, y] * 3],
        [[10 * v + 500 for v in good]], [[-v for v in good]], [[good]],
        [list(zip(good[::2], good[1::2], strict=True))], [good, "text"], [good, None],
        [str(good)], {"polygon": good}, [{"x": x, "y": y}], [[*good[:5], 1e9]],
    ])  # fmt: skip
    item["segmentation"] = json.loads(json.dumps(odd))
    return annotation_damage(position, item, f"segmentation = {brief(odd)}", "segmentation")


def odd_rle(rng, document):
    position, item = an_annotation(rng, document)
    height, width = dataset.HEIGHT, dataset.WIDTH
    total = height * width
    odd = pick(rng, [
        {"size": [width, height], "counts": [100, 25, total - 125]},
        {"size": [height, width], "counts": [100, 25]},
        {"size": [height, width], "counts": [100, 25, total]},
        {"size": [height, width], "counts": [100, -25, total - 75]},
        {"size": [height, width], "counts": [100.5, 24.5, total - 125]},
        {"size": [height, width], "counts": [True, 25, total - 26]},
        {"size": [height, width], "counts": ["100", 25, total - 125]},
        {"size": [height, width], "counts": [total]},
        {"size": [height, width], "counts": []},
        {"size": [height, width], "counts": ""},
        {"size": [height, width], "counts": "PPd"},
        {"size": [height, width], "counts": "\x01\x02"},
        {"size": [height, width], "counts": "caf\u00e9"},
        {"size": [height, width], "counts": None},
        {"size": [height, width]},
        {"counts": [100, 25, total - 125]},
        {"size": [str(height), str(width)], "counts": [100, 25, total - 125]},
        {"size": [float(height), float(width)], "counts": [100, 25, total - 125]},
        {"size": [height], "counts": [100, 25, total - 125]},
        {"size": None, "counts": [100, 25, total - 125]},
        {"size": [height, width], "counts": [2**32 + 100, 25, total - 125]},
        {"size": [height, width], "counts": [2**63, 25, 1]},
        {"size": [height, width], "counts": odd_value(rng)},
        {"size": odd_value(rng), "counts": [100, 25, total - 125]},
    ])  # fmt: skip
    item["segmentation"] = odd
    item["iscrowd"] = int(rng.random() < 0.2)
    if rng.random() < 0.5:
        item.pop("area", None)
    return annotation_damage(position, item, f"segmentation = {brief(odd)}", "segmentation")


def boxes_changed_everywhere(rng, document):
    change = pick(rng, ["relative", "as corners", "negated", "without size", "hairlines"])
    for item in document["annotations"]:
        x, y, w, h = item["bbox"]
        item["bbox"] = {
            "relative": [x / 64, y / 48, w / 64, h / 48],
            "as corners": [x, y, x + w, y + h],
            "negated": [-x - w, -y - h, w, h],
            "without size": [x, y, 0, 0],
            "hairlines": [x, y, 0.5, h],
        }[change]
        item["segmentation"] = []
        item.pop("area", None)
    return Damage(f"every bbox {change}", ("bbox|box|annotation",))


def outside_in_part(rng, document):
    position, item = an_annotation(rng, document)
    x, y, w, h = item["bbox"]
    item["bbox"] = pick(rng, [
        [x - 30, y, w, h], [x, y, 100, h], [-100, -100, 50, 50], [x, y, w, -h], [x + w, y, -w, h],
        [x + 0.25, y + 0.5, 0.4, h], [-1e-9, 0, w, h], [0, 0, 64.0000001, 48], [x, y, 1e-12, 1e-12],
    ])  # fmt: skip
    return annotation_damage(position, item, f"bbox = {item['bbox']}", "bbox")


def clashing_id(rng, document):
    section = pick(rng, list(FIELDS))
    items = document[section]
    items[1]["id"] = items[0]["id"]
    return Damage(f"two {section} with one id", (AN_ITEM + f"|{section}", "id"))


def pointing_nowhere(rng, document):
    _, item = an_annotation(rng, document)
    field = pick(rng, ["image_id", "category_id"])
    item[field] = pick(rng, [99, -1, 0, 2**62])
    return Damage(f"{field} = {item[field]}", (AN_ITEM, field))


def odd_federated(rng, document):
    field = pick(rng, ["neg_category_ids", "not_exhaustive_category_ids"])
    value = pick(rng, [
        ["2"], [2.0], [99], [[1]], [None], [2, 2], [True], [{}], [1], [odd_value(rng)],
    ])  # fmt: skip
    for image in document["images"]:
        image.setdefault("neg_category_ids", [])
        image.setdefault("not_exhaustive_category_ids", [])
    for category in document["categories"]:
        category.setdefault("frequency", "c")
    document["images"][0][field] = value
    return Damage(f"images[0].{field} = {brief(value)}", (AN_ITEM + "|of image", field))


def one_name(rng, document):
    field, section = pick(rng, [("file_name", "images"), ("name", "categories")])
    items = document[section]
    items[1][field] = items[0][field]
    return Damage(f"two {section} with one {field}", (items[0][field],))


def files_elsewhere(rng, document):
    item = pick(rng, document["images"])
    name = item["file_name"]
    item["file_name"] = pick(rng, [
        f"images\\{name}", f"./{name}", f"sub/{name}", f"/nowhere/{name}", name.upper(),
        f"../{name[:-8]}/{name}", f"{name} ", f"file://{name}", f"{name}?raw=1", f"a\n{name}",
    ])  # fmt: skip
    if rng.random() < 0.3:
        item["coco_url"] = f"http://x/{item.pop('file_name')}"
    return Damage(f"file {item.get('file_name') or item['coco_url']!r}", (name[:-4],))


def flags(rng, document):
    flag = pick(rng, ["iscrowd", "ignore"])
    value = pick(rng, [1, True, 1.0, "1", "0", 2, [], None, 0.5])
    share = pick(rng, [0.2, 1])
    for item in document["annotations"]:
        if rng.random() < share:
            item[flag] = value
    return Damage(f"{flag} = {value!r} for {share:.0%}", (said(flag),))


INSIDE = {
    function.__name__: function
    for function in (
        one_of_bbox, boxes_of_other_length, one_of_polygon, odd_polygons, odd_rle, odd_rle,
        boxes_changed_everywhere, outside_in_part, clashing_id, pointing_nowhere, odd_federated,
        one_name, files_elsewhere, flags,
    )
}  # fmt: skip


def an_annotation(rng, document):
    position = int(rng.integers(len(document["annotations"]) - 1))  # the last is the crowd
    return position, document["annotations"][position]


def annotation_damage(position, item, what, field):
    named = named_item("annotations", position, item, any_item=False)
    return Damage(f"annotations[{position}]: {what}", (named, said(field)))


# --- the document, its text -----------------------------------------------------------------


def damage_document(rng, docs, split):
    section, other = pick(rng, list(FIELDS)), {"train": "val", "val": "train"}[split]
    document = docs[split]
    kind = pick(rng, ["removed", "odd", "emptied", "item", "shuffled", "more", "top level", "cut"])
    named = (section,)
    if kind == "removed":
        del document[section]
    elif kind == "odd":
        document[section] = odd_value(rng)
    elif kind == "emptied":
        document[section] = []
        named = ("image|annotation|categor",)
    elif kind == "item":
        position = int(rng.integers(len(document[section])))
        document[section][position] = odd_value(rng)
        named = (rf"{section}\[{position}\]",)
    elif kind == "shuffled":
        rng.shuffle(document[section])
        named = ("accepted",)
    elif kind == "more":
        document["info"], document[section][0]["extra"] = odd_value(rng), odd_value(rng)
        named = ()
    elif kind == "top level":
        value = pick(rng, [[], [document], None, "text", 7, {}, document["annotations"]])
        docs[split] = json.loads(json.dumps(value))
        named = ("list|mapping|annotation file",)
    else:
        removed = document[section].pop()
        named = () if section == "categories" else (AN_ITEM,)
        kind = f"without its last ({removed['id']})"
    where = in_file(f"{split}|{other}")
    return Damage(f"{section} {kind}", (where, *named))


def damage_text(rng, path):
    text = path.read_text(encoding="utf-8")
    kind = pick(rng, ["bytes", "bytes", "bytes", "duplicate key", "literal", "comma", "deep"])
    if kind == "bytes":
        return damage_bytes(rng, path)
    if kind == "duplicate key":
        field = pick(rng, ["id", "width", "image_id", "category_id", "iscrowd"])
        places = [match.start() for match in re.finditer(f'"{field}":', text)]
        place = pick(rng, places)
        text = f'{text[:place]}"{field}": 99, {text[place:]}'
    elif kind == "literal":
        places = list(re.finditer(r"(?<=[ \[])\d+(?=[,\]}])", text))
        match = pick(rng, places)
        literal = pick(rng, ["NaN", "Infinity", "1e999", "0x1", "01", "1.", "null", "'1'", "1_0"])
        text = text[: match.start()] + literal + text[match.end() :]
        kind = f"{match.group()} -> {literal} at {match.start()}"
    elif kind == "comma":
        text = text.replace("}", ",}", 1)
    else:
        depth = pick(rng, [900, 5000, 300_000])
        text = '{"info": ' + to_json(Raw("[" * depth + "]" * depth)) + ", " + text[1:]
        kind = f"nested {depth} deep"
    path.write_text(text, encoding="utf-8")
    return kind


judge = prepared.judge
