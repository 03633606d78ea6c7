"""Published rows: only where data set and backbone are theirs, each with its source."""

import csv

import pytest

from pipeline import params
from pipeline.tables.published import FILE, NUMBERS, published

# the authors' README, as the project's README quotes it
OFFICIAL = {
    "lvis_v0.5_r50": (22.0, 27.8),
    "lvis_v0.5_r101": (23.3, 29.4),
    "lvis_v1_r50": (19.3, 26.1),
    "lvis_v1_r101": (20.9, 27.8),
}


# every row with groups, as its source has it: AP, APr, APc, APf
GROUPS = """
v0.5 bbox r50  BAGS                       25.96 17.66 25.75 29.55
v0.5 bbox r50  RIO                        25.7  17.2  25.1  29.8
v0.5 bbox r50  Forest R-CNN               25.9  16.9  26.1  29.2
v0.5 bbox r50  baseline of Forest R-CNN   21.8   6.5  21.6  28.0
v0.5 segm r50  GOL                        29.5  22.5  31.3  30.1
v0.5 segm r50  baseline of EQL            21.2   3.2  21.1  28.7
v0.5 segm r50  EQL                        24.0   9.4  25.2  28.4
v0.5 segm r50  EQL + RFS                  26.1  17.2  27.3  28.2
v0.5 segm r50  RIO                        26.0  18.9  26.2  28.5
v0.5 segm r50  SimCal, class-wise head    23.4  16.4  22.5  27.2
v1   bbox r50  EQLv2                      24.2  13.5  22.5  30.8
v1   bbox r50  EFL                        27.5  20.2  26.1  32.4
v1   bbox r101 EFL                        29.2  23.5  27.4  33.8
v1   segm r50  baseline                   16.1   0.0  12.0  27.4
v1   segm r50  EQL                        18.6   2.1  17.4  27.2
v1   segm r50  RFS                        22.2  11.5  21.2  28.0
v1   segm r50  LWS                        17.0   2.0  13.5  27.4
v1   segm r50  cRT                        22.1  11.9  20.2  29.0
v1   segm r50  BAGS                       23.1  13.1  22.5  28.2
v1   segm r50  EQLv2                      23.7  14.9  22.8  28.6
v1   segm r50  Softmax + PCB              22.6   7.7  21.8  29.9
v1   segm r50  RFS + PCB                  26.5  18.5  26.5  30.2
v1   segm r50  EQLv2 + PCB                26.2  18.2  25.9  30.1
v1   segm r50  Seesaw + RFS + PCB         27.2  19.0  27.1  30.9
v1   segm r101 Seesaw + RFS + PCB         28.7  22.8  28.0  32.1
v1   segm r50  without FASA               18.8   1.2  16.3  29.2
v1   segm r50  FASA                       22.2  10.5  20.4  29.4
v1   segm r50  Forest R-CNN               23.2  14.2  22.7  27.7
v1   segm r50  baseline of Forest R-CNN   19.2   0.0  17.2  29.5
v1   segm r50  Sigmoid                    16.4   0.8  12.7  27.3
v1   segm r50  Softmax                    15.2   0.0  10.6  26.9
v1   segm r50  Gumbel                     19.0   4.9  16.8  27.6
v1   segm r50  GOL                        27.7  21.4  27.7  30.4
v1   segm r101 GOL                        29.0  22.8  29.0  31.7
v1   segm r50  FRACAL                     28.5  23.0  28.1  31.5
v1   segm r101 FRACAL                     29.9  24.6  29.3  32.8
"""
SETTINGS = {  # what sets a method's rows apart from the others
    "softmax baseline of BACL": "no RFS",
    "BACL": "no RFS",
    "GOL": "RFS, normalised mask",
    "FRACAL": "RFS, CARAFE, normalised mask",
    "EFL": "one-stage",
}


def preset(root, name):
    return params.load(root / "configs" / "presets" / f"{name}.yaml")


@pytest.mark.parametrize("name", OFFICIAL)
def test_the_papers_rows_stand_beside_their_presets(root, name):
    rows = published(preset(root, name), "bbox")[True]
    values = {row.method: 100 * row.values["AP"] for row in rows}
    baseline, bacl = OFFICIAL[name]
    assert values["softmax baseline of BACL"] == pytest.approx(baseline)
    assert values["BACL"] == pytest.approx(bacl)
    assert all(set(row.values) == {"AP"} for row in rows if "BACL" in row.method)


def test_masks_and_other_detectors_are_kept_apart(root):
    masks = published(preset(root, "lvis_v1_mask_r50"), "segm")
    assert {row.method for row in masks[True]} >= {"EQLv2", "GOL", "FRACAL"}
    assert masks[False] == ()
    boxes = published(preset(root, "lvis_v1_r50"), "bbox")
    assert "EQLv2" in {row.method for row in boxes[False]}
    assert "EQLv2" not in {row.method for row in boxes[True]}


@pytest.mark.parametrize("name", ["symbols", "coco_lt_r50", "own_data", "lvis_v1_swin_t"])
def test_where_nothing_is_published_there_is_no_row(root, name):
    rows = published(preset(root, name), "bbox")
    assert rows == {True: (), False: ()}


@pytest.fixture
def rows():
    with open(FILE, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_row_has_a_setting_a_source_with_its_address_and_percentages(rows):
    for row in rows:
        assert row["AP"] and row["setting"] and "(github.com/" in row["source"]
        assert all(0 <= float(row[key]) < 60 for key in NUMBERS if row[key])
        assert SETTINGS.get(row["method"], "") in row["setting"]
    keys = [(*list(row.values())[:5], row["setting"]) for row in rows]
    assert len(set(keys)) == len(keys)


def test_rows_with_groups_are_those_of_their_sources(rows):
    shown = {
        " ".join(row[key] for key in ("data", "iou_type", "backbone", "method", *NUMBERS[:4]))
        for row in rows
        if row["APr"]
    }
    assert shown == {" ".join(line.split()) for line in GROUPS.strip().splitlines()}


def test_seesaw_has_a_row_a_sampler_and_mask_predictor(rows):
    found = {
        (row["iou_type"], row["method"], "normalised mask" in row["setting"]): float(row["AP"])
        for row in rows
        if row["method"] in ("Seesaw", "Seesaw + RFS")
    }
    assert found == {
        ("bbox", "Seesaw", False): 25.6, ("bbox", "Seesaw", True): 25.6,
        ("bbox", "Seesaw + RFS", False): 27.6, ("bbox", "Seesaw + RFS", True): 27.6,
        ("segm", "Seesaw", False): 25.0, ("segm", "Seesaw", True): 25.4,
        ("segm", "Seesaw + RFS", False): 26.4, ("segm", "Seesaw + RFS", True): 26.8,
    }  # fmt: skip
