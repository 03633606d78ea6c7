"""A user's own data through every stage: prepare, both trainings, predict, evaluate, report."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markupsafe import escape
from own_data import HUGE, METHODS, NAMES, PICTURES, write_one_class, write_strange

from pipeline.data.categories import read_categories
from pipeline.params import load
from pipeline.reporting.report import build
from stages.evaluate import evaluate
from stages.predict import predict
from stages.prepare import prepare
from stages.report import report
from stages.train_classifier import train_classifier
from stages.train_representation import train_representation


def run_all(write, folder):
    """Every stage in ``folder``, in this process."""
    write(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("DVC_ROOT", raising=False)
        prepare()
        train_representation(METHODS[0])
        train_classifier(METHODS[1])
        for method in METHODS:
            predict(method)
            evaluate(method)
        report()
    return folder


def forbid(text):
    raise AssertionError(f"{text} in a metrics file")


def metrics_of(folder, method):
    text = (folder / f"reports/metrics/{method}.json").read_text()
    return json.loads(text, parse_constant=forbid)


@pytest.fixture(scope="module")
def strange(tmp_path_factory):
    return run_all(write_strange, tmp_path_factory.mktemp("strange"))


@pytest.fixture(scope="module")
def one_class(tmp_path_factory):
    return run_all(write_one_class, tmp_path_factory.mktemp("one_class"))


def test_prepare_computes_all_that_is_missing(strange):
    rows = {row["id"]: row for row in read_categories(strange / "data/strange/categories.csv")}
    assert {i: row["name"] for i, row in rows.items()} == NAMES
    assert (rows[0]["image_count"], rows[0]["frequency"]) == (5, "r")
    assert (rows[401]["image_count"], rows[401]["instance_count"]) == (0, 0)
    val = json.loads((strange / "data/strange/val.json").read_text(encoding="utf-8"))
    empty = next(i for i in val["images"] if i["file_name"].startswith("nothing"))
    assert sorted(empty["neg_category_ids"]) == sorted(NAMES)
    assert all(a["area"] > 0 and len(a["segmentation"][0]) == 8 for a in val["annotations"])
    assert {i["file_name"] for i in val["images"]} == set(PICTURES)


@pytest.mark.parametrize("method", METHODS)
def test_detections_are_in_the_ids_and_pixels_of_the_files(strange, method):
    table = pd.read_parquet(strange / f"predictions/{method}.parquet")
    assert set(table.category_id) <= set(NAMES)
    assert len(set(table.category_id)) > 1
    assert set(table.image_id) <= {HUGE - 7 * n for n in range(len(PICTURES))}
    turned = table[table.image_id == HUGE - 7 * list(PICTURES).index("turned #1 100%.jpg")]
    assert len(turned) and (turned.x + turned.w).max() <= 48 + 1e-3
    assert (turned.y + turned.h).max() > 48, "the photo is shown upright: 48 wide, 64 high"
    assert np.isfinite(table[[*"xywh", "score"]]).all(axis=None)
    assert "rle" not in table


@pytest.mark.parametrize("method", METHODS)
def test_metrics_are_numbers_or_null(strange, method):
    metrics = metrics_of(strange, method)
    assert 0 <= metrics["AP"] <= 1 and 0 <= metrics["simcal/AP1"] <= 1
    assert metrics["APc"] is metrics["APf"] is metrics["simcal/AP4"] is None
    rows = pd.read_csv(strange / f"reports/per_category/{method}.csv", keep_default_na=False)
    assert dict(zip(rows.category_id, rows.name, strict=True)) == NAMES
    ap = rows.set_index("category_id").AP
    assert ap[500] == "" and ap[401] != "", "of what val has, and of nothing else"


@pytest.mark.parametrize("grouping", ["lvis", "simcal"])
def test_report_shows_every_name_as_it_is(strange, grouping, monkeypatch):
    monkeypatch.chdir(strange)
    path = Path("params.yaml")
    text = path.read_text(encoding="utf-8")
    if "grouping" not in text:
        text = text.replace("gallery_images", "grouping: lvis, gallery_images")
    path.write_text(text.replace("grouping: lvis", f"grouping: {grouping}"), encoding="utf-8")
    build(load())
    page = Path("reports/index.html").read_text(encoding="utf-8")
    for name in NAMES.values():
        assert f'<th scope="row">{escape(name)}</th>' in page
    assert "the val images have no object of such a category" in page
    assert ("not in training" in page) == (grouping == "simcal")


def test_one_class_without_rare_categories(one_class):
    for method in METHODS:
        metrics = metrics_of(one_class, method)
        assert metrics["APr"] is metrics["APf"] is metrics["fixed/APr"] is None
        assert metrics["APc"] == metrics["AP"] is not None
    page = (one_class / "reports/index.html").read_text(encoding="utf-8")
    assert "the val images have no object of such a category" in page
    assert ">nan<" not in page and ">-1.0<" not in page
    table = (one_class / "reports/ap_by_frequency.md").read_text(encoding="utf-8")
    assert "| none |" in table and "nan" not in table
    csv = pd.read_csv(one_class / "reports/ap_by_frequency.csv")
    assert csv.APr.isna().all() and csv.APc.notna().all()
