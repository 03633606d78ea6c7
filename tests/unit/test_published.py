"""Published rows: only where data set and backbone are theirs, each with its source."""

import csv

import pytest

from pipeline import params
from pipeline.reporting.published import FILE, NUMBERS, published

# the authors' README, as the project's README quotes it
OFFICIAL = {
    "lvis_v0.5_r50": (22.0, 27.8),
    "lvis_v0.5_r101": (23.3, 29.4),
    "lvis_v1_r50": (19.3, 26.1),
    "lvis_v1_r101": (20.9, 27.8),
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


def test_every_row_has_a_setting_a_source_and_percentages():
    with open(FILE, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert row["AP"] and row["setting"] and "README" in row["source"]
        assert all(0 <= float(row[key]) < 60 for key in NUMBERS if row[key])
    keys = [(*list(row.values())[:5], row["setting"]) for row in rows]
    assert len(set(keys)) == len(keys)
