"""Evaluation: what it writes, and how it refuses files that are wrong."""

import csv
import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.command_line import one_line
from pipeline.evaluation.__main__ import main
from pipeline.evaluation.average_precision import best
from pipeline.evaluation.evaluate import evaluate_files
from pipeline.evaluation.predictions import Predictions
from stages.evaluate import evaluate as evaluate_stage

LVIS_KEYS = ["AP", "AP50", "AP75", "APs", "APm", "APl", "APr", "APc", "APf", "AR@300"]
KEYS = LVIS_KEYS + [f"simcal/AP{code}" for code in "1234"]


@pytest.fixture
def truth():
    """Two images, a frequent and a common category; the ids have gaps."""
    images = [
        {
            "id": number,
            "width": 100,
            "height": 80,
            "neg_category_ids": [],
            "not_exhaustive_category_ids": [],
        }
        for number in (7, 30)
    ]
    categories = [
        {"id": 3, "name": "猫", "frequency": "f", "image_count": 150, "instance_count": 200},
        {"id": 9, "name": "dog", "frequency": "c", "image_count": 20, "instance_count": 30},
    ]
    annotations = [
        {
            "id": number,
            "image_id": image,
            "category_id": category,
            "bbox": [10.0, 10.0, 40.0, 40.0],
            "area": 1600.0,
            "segmentation": [[10, 10, 50, 10, 50, 50, 10, 50]],
        }
        for number, (image, category) in enumerate([(7, 3), (30, 3), (30, 9)])
    ]
    return {"images": images, "annotations": annotations, "categories": categories}


@pytest.fixture
def files(tmp_path, truth):
    """(annotations.json, predictions.parquet) where every second detection is right."""
    annotations, predictions = tmp_path / "annotations.json", tmp_path / "predictions.parquet"
    annotations.write_text(json.dumps(truth))
    table().to_parquet(predictions)
    return annotations, predictions


def table(**changes):
    columns = {
        "image_id": [7, 7, 30, 30],
        "category_id": [3, 3, 3, 9],
        "x": [60.0, 10.0, 10.0, 10.0],
        "y": [10.0, 10.0, 10.0, 10.0],
        "w": [40.0, 40.0, 40.0, 40.0],
        "h": [40.0, 40.0, 40.0, 40.0],
        "score": [0.9, 0.8, 0.7, 0.6],
    }
    return pd.DataFrame({**columns, **changes})


def test_metrics_and_table_per_category(files, tmp_path):
    annotations, predictions = map(str, files)
    out, rows = tmp_path / "new/metrics.json", tmp_path / "rows.csv"
    arguments = ["--annotations", annotations, "--predictions", predictions, "--out", str(out)]
    main([*arguments, "--per-category", str(rows)])
    metrics = json.loads(out.read_text())
    assert list(metrics) == KEYS + [f"fixed/{key}" for key in KEYS]
    # category 3: a false positive, then two hits, so 2/3 at every recall; category 9: all right
    assert metrics["APf"] == pytest.approx(2 / 3) and metrics["APc"] == pytest.approx(1)
    assert metrics["AP"] == pytest.approx(5 / 6) == metrics["fixed/AP"]
    assert metrics["APr"] is None and metrics["APs"] is None and metrics["AR@300"] == 1
    first, second = csv.DictReader(rows.read_text(encoding="utf-8").splitlines())
    assert float(first.pop("AP50")) == pytest.approx(2 / 3)
    assert first["category_id"] == "3" and first["name"] == "猫" and first["image_count"] == "150"
    assert float(second["fixed_AP"]) == pytest.approx(1)


def test_category_without_annotation_is_empty_in_the_table(files, truth, tmp_path):
    truth["annotations"] = [a for a in truth["annotations"] if a["category_id"] == 3]
    files[0].write_text(json.dumps(truth))
    rows = tmp_path / "rows.csv"
    arguments = ["--annotations", str(files[0]), "--predictions", str(files[1])]
    main([*arguments, "--out", str(tmp_path / "m.json"), "--per-category", str(rows)])
    assert rows.read_text(encoding="utf-8").splitlines()[2] == "9,dog,c,20,30,,,"


def test_parquet_without_rows_scores_zero(files):
    table().iloc[:0].to_parquet(files[1])
    metrics = evaluate_files(*files).metrics
    assert metrics["AP"] == 0 and metrics["fixed/APf"] == 0 and metrics["APr"] is None


def test_json_equals_parquet(files, tmp_path):
    results = [
        {
            "image_id": row.image_id,
            "category_id": row.category_id,
            "bbox": [row.x, row.y, row.w, row.h],
            "score": row.score,
        }
        for row in table().itertuples()
    ]
    path = tmp_path / "predictions.json"
    path.write_text(json.dumps(results))
    assert evaluate_files(files[0], path) == evaluate_files(*files)


def test_stored_float32_and_small_integers_are_fine(files):
    types = {"x": "float32", "score": "float32", "image_id": "int32", "category_id": "int16"}
    table().astype(types).to_parquet(files[1])
    assert evaluate_files(*files).metrics["AP"] == pytest.approx(5 / 6)


def test_annotation_id_zero_can_be_matched(files):
    assert evaluate_files(*files).metrics["AR@300"] == 1


def test_simcal_bins_are_means_of_their_categories(files):
    """Category 3 has 200 training objects, category 9 has 30."""
    metrics = evaluate_files(*files).metrics
    assert metrics["simcal/AP2"] == metrics["fixed/simcal/AP2"] == pytest.approx(5 / 6)
    assert [metrics[f"simcal/AP{code}"] for code in "134"] == [None] * 3


def test_without_instance_counts_there_are_no_bins(files, truth):
    del truth["categories"][0]["instance_count"]
    files[0].write_text(json.dumps(truth))
    assert list(evaluate_files(*files).metrics) == LVIS_KEYS + [f"fixed/{key}" for key in LVIS_KEYS]


@given(
    rows=st.lists(st.tuples(st.integers(0, 3), st.sampled_from([0.1, 0.5, 0.9])), max_size=30),
    count=st.integers(1, 6),
)
@settings(max_examples=60, deadline=None)
def test_best_equals_a_stable_sort_of_each_group(rows, count):
    group = np.array([g for g, _ in rows], np.int32)
    score = np.array([s for _, s in rows], float)
    found = best(group, Predictions(None, group, group, None, score, None), count)
    expected = []
    for number in range(4):
        mine = [row for row in range(len(rows)) if group[row] == number]
        expected += sorted(mine, key=lambda row: -score[row])[:count]
    assert found.tolist() == sorted(expected)


# --- wrong files ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "field"),
    [
        ("images", "neg_category_ids"),
        ("images", "not_exhaustive_category_ids"),
        ("categories", "frequency"),
        ("annotations", "area"),
    ],
)
def test_a_file_that_is_not_lvis_says_what_is_missing(files, truth, section, field):
    del truth[section][1][field]
    files[0].write_text(json.dumps(truth))
    with pytest.raises(ValueError, match=rf"json: \w+ \d+ has no '{field}'.*`prepare` computes it"):
        evaluate_files(*files)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"images": [', "not valid JSON"),
        ("[]", "not a COCO or LVIS annotation file: it has no list 'images'"),
        ('{"images": [], "annotations": []}', "no list 'categories'"),
    ],
)
def test_annotation_files_that_are_something_else(files, content, message):
    files[0].write_text(content)
    with pytest.raises(ValueError, match=message):
        evaluate_files(*files)


@pytest.mark.parametrize(
    ("section", "field", "value", "message"),
    [
        ("categories", "frequency", "rare", "category 9 has the frequency 'rare'"),
        ("images", "neg_category_ids", None, "image 30 has the neg_category_ids None"),
        ("annotations", "area", float("nan"), "annotation 1 has the area nan"),
        ("annotations", "bbox", [1, 2, 3], "annotation 1 has the bbox"),
        ("annotations", "category_id", 4, "1 annotations have a category_id that is not under"),
        ("images", "id", 7, "the id 7 occurs twice under images"),
    ],
)
def test_wrong_values_in_annotations(files, truth, section, field, value, message):
    truth[section][1][field] = value
    files[0].write_text(json.dumps(truth))
    with pytest.raises(ValueError, match=message):
        evaluate_files(*files)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_id": [7, 8, 8, 30]}, "2 of 4 detections have a image_id that .*; the first is 8"),
        ({"category_id": [3, 3, 3, 99]}, "1 of 4 .*category_id.*the first is 99"),
        ({"score": [0.1, np.inf, 0.2, 0.3]}, "1 of 4 detections have a score that is not a finite"),
        ({"h": [1, 1, np.inf, 1]}, "1 of 4 detections have a box that is not a finite.*row 2"),
        ({"w": [1.0, 1, -1, -1]}, "2 of 4 detections have a box of negative size.*row 2"),
        ({"score": [None, 0.1, 0.1, 0.1]}, "1 rows have no score"),
        ({"image_id": [7.5, 7, 7, 7]}, "column image_id has no numbers|image_id"),
        ({"x": ["a", "b", "c", "d"]}, "column x has no numbers"),
    ],
)
def test_wrong_values_in_parquet(files, changes, message):
    table(**changes).to_parquet(files[1])
    with pytest.raises(ValueError, match=message) as caught:
        evaluate_files(*files)
    assert str(files[1]) in str(caught.value) and "\n" not in str(caught.value)


def test_unknown_ids_name_both_files(files):
    table(image_id=[7, 7, 7, 1000]).to_parquet(files[1])
    with pytest.raises(ValueError, match="image_id") as caught:
        evaluate_files(*files)
    assert str(files[0]) in str(caught.value) and str(files[1]) in str(caught.value)


def test_missing_column_is_named(files):
    table().drop(columns=["w", "score"]).to_parquet(files[1])
    with pytest.raises(ValueError, match="has no column w, score; it has: image_id"):
        evaluate_files(*files)


@pytest.mark.parametrize("kept", [0, 4, 500])
def test_unreadable_parquet(files, kept):
    files[1].write_bytes(files[1].read_bytes()[:kept])
    with pytest.raises(ValueError, match="not a readable parquet file"):
        evaluate_files(*files)


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ({"a": 1}, "must be a list of detections"),
        ([{"image_id": 7, "category_id": 3, "score": 1}], "detection 0 has no 'bbox'"),
        (
            [{"image_id": 7, "category_id": 3, "score": 1, "bbox": [1, 2, 3]}],
            r"detection 0 has the bbox \[1, 2, 3\]; it must be four finite numbers",
        ),
        (
            [{"image_id": "7", "category_id": 3, "score": 1, "bbox": [1, 2, 3, 4]}],
            "detection 0 has the image_id '7'; it must be a whole number",
        ),
        (
            [{"image_id": 7, "category_id": 3, "score": float("nan"), "bbox": [1, 2, 3, 4]}],
            "detection 0 has the score nan; it must be a finite number",
        ),
    ],
)
def test_wrong_json_results(files, tmp_path, results, message):
    path = tmp_path / "results.json"
    path.write_text(json.dumps(results))
    with pytest.raises(ValueError, match=message):
        evaluate_files(files[0], path)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        ({"size": [8, 8], "counts": "0"}, "has the size"),
        ([[1, 2, 3, 4, 5, 6]], "detection 0 has the segmentation .* must be a compressed RLE"),
        ({"size": [80, 100], "counts": "PPd"}, "no compressed RLE"),
    ],
)
def test_wrong_masks(files, tmp_path, mask, message):
    path = tmp_path / "results.json"
    path.write_text(
        json.dumps([{"image_id": 7, "category_id": 3, "score": 1.0, "segmentation": mask}])
    )
    with pytest.raises(ValueError, match=message):
        evaluate_files(files[0], path, "segm")


def test_command_ends_in_one_line_and_code_1(files, tmp_path, capsys):
    out = tmp_path / "metrics.json"
    arguments = ["--annotations", "absent.json", "--predictions", str(files[1]), "--out", str(out)]
    with pytest.raises(SystemExit, match="1"), one_line():
        main(arguments)
    assert capsys.readouterr().err == "error: absent.json does not exist\n"
    assert not out.exists()


def test_an_output_that_cannot_be_written_is_named_before_the_evaluation(
    files, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("pipeline.evaluation.evaluate.evaluate_files", pytest.fail)
    (tmp_path / "file").write_text("mine")
    inputs = ["--annotations", str(files[0]), "--predictions", str(files[1])]
    for out, words in (
        (tmp_path, "which is a folder"),
        (tmp_path / "file/metrics.json", "nothing can be written into .*file: Not a directory"),
        ("/proc/metrics.json", "nothing can be written into /proc: "),
        (files[1], "which is --predictions too"),
    ):
        with pytest.raises(SystemExit, match="1"), one_line():
            main([*inputs, "--out", str(out)])
        line = capsys.readouterr().err
        assert line.startswith(f"error: --out is {out}, ") and re.search(words, line)
        assert line.count("\n") == 1
    both = ["--out", str(tmp_path / "m"), "--per-category", str(tmp_path / "m")]
    with pytest.raises(SystemExit, match="1"), one_line():
        main([*inputs, *both])
    assert "--per-category is" in capsys.readouterr().err


# --- the stage ------------------------------------------------------------------------------


@pytest.fixture
def project(files, root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text((root / "params.yaml").read_text())
    for folder in ("data/symbols", "predictions"):
        (tmp_path / folder).mkdir(parents=True)
    files[0].rename("data/symbols/val.json")
    files[1].rename("predictions/bacl.parquet")
    return tmp_path


def test_stage_without_masks(project):
    evaluate_stage("bacl")
    metrics = json.loads((project / "reports/metrics/bacl.json").read_text())
    assert metrics["AP"] == pytest.approx(5 / 6)
    assert not any(key.startswith("segm/") for key in metrics)
    header = (project / "reports/per_category/bacl.csv").read_text().splitlines()[0]
    assert header == "category_id,name,frequency,image_count,instance_count,AP,AP50,fixed_AP"


def test_stage_with_masks(project):
    masks = pytest.importorskip("pycocotools.mask")
    whole = masks.frPyObjects([[10, 10, 50, 10, 50, 50, 10, 50]], 80, 100)[0]["counts"].decode()
    half = masks.frPyObjects([[10, 10, 50, 10, 10, 50]], 80, 100)[0]["counts"].decode()
    table(rle=[half, whole, whole, whole]).to_parquet(project / "predictions/bacl.parquet")
    evaluate_stage("bacl")
    metrics = json.loads((project / "reports/metrics/bacl.json").read_text())
    assert len(metrics) == 4 * len(KEYS)
    assert metrics["segm/AP75"] == metrics["segm/fixed/AP75"] == pytest.approx(5 / 6)


def test_stage_refuses_an_unknown_method(project):
    with pytest.raises(ValueError, match="unknown method of evaluate 'bacll'"):
        evaluate_stage("bacll")


def test_evaluation_does_not_import_torch(files, root, tmp_path):
    arguments = ["--annotations", str(files[0]), "--predictions", str(files[1])]
    code = (
        "import sys; from pipeline.evaluation.__main__ import main; "
        f"main({[*arguments, '--out', str(tmp_path / 'metrics.json')]!r}); "
        "import stages.evaluate; "
        "sys.exit(bool({'torch', 'mmdet', 'mmengine', 'mlflow'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)
