"""Runs become rows, rows a table; the params that MLflow has as texts become params again."""

import csv
import io
from dataclasses import replace

import numpy as np
import pytest
from finished_runs import metrics, replicates, settings

from pipeline.comparison.compare import compare
from pipeline.comparison.compared_page import own_settings, render, sentence
from pipeline.comparison.mlflow_runs import unflatten
from pipeline.comparison.selection import check_same_data, select
from pipeline.params import Params, load, parse
from pipeline.params.plain import flatten, plain, resolved
from pipeline.params.scope import what_it_reads
from pipeline.runs.finished import Finished, Result, parse_metrics, parse_replicates
from pipeline.tables.compared import Table, default_metrics, make_column, make_columns
from pipeline.tables.formats import to_csv, to_markdown, to_tex
from pipeline.tables.rows import Name, find_row, label_keys, make_rows
from pipeline.tables.texts import ROUNDING

MARGIN_OFF = {"type": "fcbl", "margin": False}


def run(name="a", ap=0.4, seed=0, method="bacl", data=None, bootstrap=False, **block):
    """A finished run of one method, whose rare AP is half of ``ap``."""
    params = parse(Params, settings(seed, **block), "")
    values = metrics(ap)
    columns = replicates(values) if bootstrap else {}
    data = data or {"train": "t", "val": "v"}
    return Finished(name, f"place of {name}", params, data, {method: Result(values, columns)})


def rows_of(*runs, names=None, **choice):
    return make_rows(select(list(runs), **choice), names or {})


def table_of(*runs, names=None, metrics=("AP", "APr"), baseline=0):
    rows = rows_of(*runs, names=names)
    return Table(rows, label_keys(rows), make_columns(list(metrics), rows), rows[baseline])


def test_a_default_and_its_explicit_value_are_one_row():
    explicit = {"type": "fcbl", "alpha": 0.85, "margin": True}
    (row,) = rows_of(run(seed=0), run("b", 0.5, seed=1, loss=explicit, weight_decay=1e-4))
    assert row.values("AP") == [0.4, 0.5]
    assert list(row.runs) == [0, 1]
    assert row.summary("AP").sd == pytest.approx(0.1 / 2**0.5)


def test_what_affects_the_method_splits_rows_and_what_does_not_does_not():
    plain_run = run(seed=0)
    assert len(rows_of(plain_run, run("b", loss=MARGIN_OFF))) == 2
    assert len(rows_of(plain_run, run("b", method="softmax"))) == 2
    others = settings(1)
    others["representation"]["softmax"]["epochs"] = 3  # of another method
    others["compute"] = {"gpus": 0}
    others["report"]["gallery_images"] = 1
    same = Finished("b", "", parse(Params, others, ""), plain_run.data, plain_run.results)
    assert len(rows_of(plain_run, same)) == 1
    others["representation"]["bce"]["epochs"] = 3  # bacl starts from it
    other = Finished("b", "", parse(Params, others, ""), plain_run.data, plain_run.results)
    rows = rows_of(plain_run, other)
    assert label_keys(rows) == ["representation.epochs"]
    assert [row.title for row in rows] == ["bacl, epochs 12", "bacl, epochs 3"]


def test_labels_are_what_differs_within_a_method_and_in_the_shared_sections():
    rows = rows_of(run(method="softmax"), run("b"), run("c", loss=MARGIN_OFF))
    assert label_keys(rows) == ["loss.margin"]
    values = settings()
    values["train"]["learning_rate"] = 0.02
    other = run("d", method="softmax")
    other = Finished("d", "", parse(Params, values, ""), other.data, other.results)
    assert label_keys(rows_of(run("b"), other)) == ["train.learning_rate"]


def test_a_run_met_twice_counts_once(capsys):
    (row,) = rows_of(run("workspace"), run("experiment", bootstrap=True))
    assert capsys.readouterr().err == ""
    assert row.summary("AP").n == 1
    assert row.replicates("AP")  # of the second, which has them


def test_two_runs_that_should_be_the_same_and_are_not_are_told(capsys):
    (row,) = rows_of(run("workspace", 0.4), run("experiment", 0.41), run("third", 0.4))
    assert row.values("AP") == [0.4]
    error = capsys.readouterr().err
    assert "workspace and experiment have the same settings and seed but not" in error
    assert "bacl: AP 40.0 and 41.0" in error
    assert "workspace counts" in error
    assert "third" not in error


def test_an_imported_model_is_the_same_under_every_seed():
    def imported(seed, ap):
        values = settings(seed, methods=("bacl", "official"))
        values["pretrained"] = {"official": {"weights": "x.pth", "loss": {"type": "fcbl"}}}
        return Finished(
            f"seed {seed}", "", parse(Params, values, ""), {"val": "v", "train": "t"},
            {"official": Result(metrics(ap))},
        )  # fmt: skip

    (row,) = rows_of(imported(0, 0.4), imported(1, 0.4))
    assert row.summary("AP").n == 1


def test_rows_stand_in_the_order_of_the_methods_and_of_the_grid():
    runs = [run("x", loss=MARGIN_OFF), run("y"), run("z", method="softmax")]
    names = {"x": Name("margin off", "bacl", 5), "y": Name("all", "bacl", 2)}
    rows = rows_of(*runs, names=names)
    assert [row.title for row in rows] == ["softmax", "all", "margin off"]
    assert find_row(rows, "all") is rows[1]


def test_a_name_of_the_grid_is_about_one_method_only():
    both = run("x")
    both.results["softmax"] = both.results["bacl"]
    rows = rows_of(both, names={"x": Name("all", "bacl", 0)})
    assert [row.title for row in rows] == ["softmax", "all"]


def test_find_row_names_what_there_is():
    rows = rows_of(run("a"), run("b", loss=MARGIN_OFF))
    with pytest.raises(ValueError, match="several rows are called 'bacl'; there are: 'bacl, mar"):
        find_row(rows, "bacl")
    with pytest.raises(ValueError, match="no row is called 'x'"):
        find_row(rows, "x")
    assert find_row(rows, "bacl, margin off") is rows[1]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (
            {"train": "t", "val": "v", "folder": "a"},
            {"train": "t", "val": "v", "folder": "b"},
            True,
        ),
        ({"train": "t", "val": "v"}, {"train": "t", "val": "w"}, False),
        ({"train": "t", "val": "v"}, {"train": "u", "val": "v"}, False),
        ({"folder": "a"}, {"folder": "a", "train": "t", "val": "v"}, True),
        ({"folder": "a"}, {"folder": "b", "train": "t", "val": "v"}, False),
        ({"folder": "a"}, {"train": "t", "val": "v"}, True),  # nothing in common: by the params
    ],
)
def test_data_are_the_same_by_the_digest_that_both_know(one, other, same):
    pairs = select([run("a", data=one), run("b", data=other)])
    if same:
        check_same_data(pairs)
    else:
        with pytest.raises(ValueError, match="different data"):
            check_same_data(pairs)


def on_other_data(name):
    values = settings()
    values["data"]["exponent"] = 2.0
    params = parse(Params, values, "")
    return Finished(name, "", params, {"train": "u", "val": "w"}, {"bacl": Result(metrics(0.3))})


def test_runs_on_different_data_are_refused_and_named():
    runs = [run("a"), run("b", seed=1), on_other_data("c")]
    with pytest.raises(ValueError, match="different data") as caught:
        check_same_data(select(runs))
    message = str(caught.value)
    assert "(a, b); data.exponent=2.0 (c)" in message
    assert "--where data.exponent=" in message
    assert "\n" not in message
    check_same_data(select(runs, where={"data.exponent": "2"}))


def test_where_and_methods_choose():
    runs = [run("a"), run("b", loss=MARGIN_OFF), run("c", method="softmax")]
    assert [r.name for r, _ in select(runs, where={"loss.margin": "false"})] == ["b"]
    assert [r.name for r, _ in select(runs, where={"train.learning_rate": "4e-2"})] == list("abc")
    assert [r.name for r, _ in select(runs, methods=["softmax"])] == ["c"]
    for message, choice in (
        ("no finished run has loss.margin=no; there are: false, true", {"loss.margin": "no"}),
        ("no finished run has los=1; there are: no such key", {"los": "1"}),
    ):
        with pytest.raises(ValueError, match=message):
            select(runs, where=choice)
    with pytest.raises(ValueError, match="no finished run has the method 'x'; there are: bacl, so"):
        select(runs, methods=["x"])
    with pytest.raises(ValueError, match="there is no finished run to compare"):
        select([])


def test_the_formats():
    other = dict(loss=MARGIN_OFF, bootstrap=True)
    names = {"a": Name("all|parts", "bacl", 0), "c": Name("plain_bce", "bacl", 1)}
    table = table_of(
        run("a", 0.40, bootstrap=True), run("b", 0.42, seed=1, bootstrap=True),
        run("c", 0.30, **other), names=names,
    )  # fmt: skip
    lines = to_markdown(table).splitlines()
    assert lines[0] == "| method | loss.margin | n | AP | APr |"
    assert lines[2] == r"| all\|parts | true | 2 | **41.0 ± 1.4** | **20.5 ± 0.7** |"
    assert lines[3] == "| plain_bce | false | 1 | 30.0 | 15.0 |"
    assert lines[7] == r"| minus all\|parts | AP | APr |"
    assert lines[9] == r"| plain_bce | -11.0 [-11.0, -11.0]\* | -5.5 [-5.5, -5.5]\* |"
    tex = to_tex(table)
    assert r"plain\_bce & false & 1 & 30.0 & 15.0 \\" in tex
    assert r"\textbf{41.0 $\pm$ 1.4}" in tex
    assert r"$-$11.0 [$-$11.0, $-$11.0]$^*$" in tex
    first, second = csv.DictReader(io.StringIO(to_csv(table)))
    assert (first["n"], first["seeds"], first["AP_delta"]) == ("2", "0 1", "")
    assert float(second["AP"]) == 30
    assert float(second["AP_delta"]) == pytest.approx(-11)
    assert float(second["AP_low"]) == pytest.approx(-11)


def test_ties_are_all_bold_and_what_is_undefined_is_none():
    table = table_of(run("a"), run("b", loss=MARGIN_OFF), metrics=("AP", "APl"))
    assert to_markdown(table).count("**40.0**") == 2
    assert "none" in to_markdown(table)
    assert [c.best for c in table.lines()[0]] == [False, False, True, False]


def test_a_method_without_masks_has_no_mask_ap():
    """Which is not "none", an AP of masks without an object to find."""
    runs = run("a"), run("b", loss=MARGIN_OFF)
    runs[0].results["bacl"].metrics["segm/AP"] = 0.1
    table = table_of(*runs, metrics=("AP", "segm/AP"))
    for text in (to_markdown(table), to_tex(table)):
        assert "none" not in text
    assert [line[-1].text for line in table.lines()] == ["10.0", "–"]


def test_one_row_alone_is_neither_best_nor_compared():
    text = to_markdown(table_of(run()))
    assert "*" not in text and "minus" not in text
    lines = [
        "| method | AP | APr |",
        "| :--- | ---: | ---: |",
        "| bacl | 40.0 | 20.0 |",
        "",
        "In percent.",
    ]
    assert text.splitlines() == lines


def test_metrics_by_default_and_by_name():
    rows = rows_of(run())
    assert default_metrics(rows, "lvis") == [
        "AP", "APr", "APc", "APf", "AP50", "AP75", "fixed/AP", "fixed/APr",
    ]  # fmt: skip
    rows[0].runs[0][1].metrics["segm/APr"] = 0.1
    assert default_metrics(rows, "lvis")[-1] == "segm/APr"
    with pytest.raises(ValueError, match="no row has the metric 'ap'; there are: AP, AP50"):
        make_columns(["ap"], rows)
    titles = {key: make_column(key).title for key in ("segm/fixed/APr", "AR@300", "simcal/AP1")}
    assert list(titles.values()) == ["mask APr-fixed", "AR@300", "AP [1,20)"]
    assert make_column("fixed/AP50").tex == r"AP$_{50}^{\mathrm{fixed}}$"
    assert make_column("fixed/AP").tex == r"AP$^{\mathrm{fixed}}$"


def test_files_are_written_whole_and_the_page_is_self_contained(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = [
        run("a", bootstrap=True), run("b", 0.41, seed=1, bootstrap=True),
        run("c<i>", 0.3, loss=MARGIN_OFF, bootstrap=True),
    ]  # fmt: skip
    text = compare(runs, "parts", {"c<i>": Name("a&b", "bacl", 0)})
    folder = tmp_path / "reports/comparisons/parts"
    assert sorted(path.name for path in folder.iterdir()) == [
        "index.html", "table.csv", "table.md", "table.tex",
    ]  # fmt: skip
    assert (folder / "table.md").read_text() == text
    page = (folder / "index.html").read_text()
    assert "a&amp;b" in page and "c&lt;i&gt;" in page and "place of b" in page
    assert "http" not in page.replace("http://www.w3.org", "")
    before = (folder / "index.html").read_bytes()
    with pytest.raises(ValueError, match="no row has the metric"):
        compare(runs, "parts", metrics=["x"])
    assert (folder / "index.html").read_bytes() == before
    assert compare(runs, "parts", {"c<i>": Name("a&b", "bacl", 0)}) == text
    assert (folder / "index.html").read_bytes() == before


def test_the_page_lists_of_each_row_what_tells_it_apart():
    table = table_of(run("a"), run("b", loss=MARGIN_OFF))
    margins = [row["settings"]["loss.margin"] for row in own_settings(table)]
    assert margins == ["true", "false"]
    html = render("parts", table, "lvis")
    assert '<span class="title">bacl, margin off</span>' in html
    assert html.count(ROUNDING) == 1


@pytest.mark.parametrize(("metrics", "wide"), [(("AP", "APr"), False), (("AP",) * 9, True)])
def test_tables_of_many_columns_are_set_smaller(metrics, wide):
    table = table_of(run("a"), run("b", loss=MARGIN_OFF), metrics=metrics)
    assert ('<table class="results wide">' in render("parts", table, "lvis")) == wide


def test_a_baseline_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = [run("a"), run("b", 0.3, loss=MARGIN_OFF)]
    assert "| minus bacl, margin off | AP |" in compare(
        runs, "x", metrics=["AP"], baseline="bacl, margin off"
    )


def test_params_come_back_from_mlflows_texts(root):
    for path in [root / "params.yaml", *sorted((root / "configs/presets").glob("*.yaml"))]:
        known = load(path)
        found = parse(Params, unflatten(flatten(resolved(known))), "")
        assert resolved(found) == resolved(known)


def test_a_text_that_looks_like_a_number_comes_back():
    values = settings()
    values["data"]["name"] = "2024"
    values["pretrained"] = {"2023": {"weights": "1.5", "loss": {"type": "bce"}, "sha256": None}}
    known = parse(Params, values, "")
    assert plain(parse(Params, unflatten(flatten(resolved(known))), "")) == plain(known)


def with_inputs(finished, code):
    """As if ``code`` (a digest) had trained it."""

    def noted(stage, name):
        reads = what_it_reads(finished.params, stage, name)
        entry = {"params": reads, "code": code, "packages": {}, "files": {}}
        return {"params": {"data/inputs.json": {f"{stage}.{name}": entry}}}

    names = ("train_representation@bce", "train_classifier@bacl", "predict@bacl", "evaluate@bacl")
    return replace(finished, locked={name: noted(*name.split("@")) for name in names})


def test_seeds_that_other_code_has_run_are_told(capsys):
    rows_of(with_inputs(run(seed=0), "a"), with_inputs(run("b", seed=1), "a"), run("c", seed=2))
    assert capsys.readouterr().err == ""
    rows_of(with_inputs(run(seed=0), "a"), with_inputs(run("b", seed=1), "b"))
    error = capsys.readouterr().err
    assert (
        "the 2 runs of bacl were not made by the same code: the code of train_classifier@bacl"
        in error
    )


def test_the_sentence_says_what_is_sure_only():
    three = [run("a", 0.40, bootstrap=True), run("b", 0.41, bootstrap=True, loss=MARGIN_OFF)]
    table = table_of(*three, metrics=("AP",))
    assert sentence(table, table.columns) == "bacl, margin off is highest in AP 41.0."
    noise = np.random.default_rng(1).normal(0, 0.02, 200)  # of its own, so nothing drops out
    three[1].results["bacl"].replicates["AP"] += noise
    table = table_of(*three, metrics=("AP",))
    assert sentence(table, table.columns) == "No row is surely above all others."
    table = table_of(run(), metrics=("AP",))
    assert sentence(table, table.columns) == "There is one row, and nothing to compare it with."


def test_replicates_and_metrics_are_read_with_their_gaps():
    found = parse_replicates("x", b"AP,APr\n0.5,\n0.25,0.125\n")
    assert found["AP"].tolist() == [0.5, 0.25]
    assert np.isnan(found["APr"][0]) and found["APr"][1] == 0.125
    assert parse_replicates("x", b"") == {}
    assert parse_metrics("x", b'{"AP": 1, "APl": null}') == {"AP": 1.0, "APl": None}
    with pytest.raises(ValueError, match="x is no table of numbers"):
        parse_replicates("x", b"AP,APr\n0.5\n")
    with pytest.raises(ValueError, match="x is no JSON of metrics"):
        parse_metrics("x", b"[1]")
