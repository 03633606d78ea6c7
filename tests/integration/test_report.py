"""The report of a small finished project: everything written, and what goes wrong in one line."""

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import pandas as pd
import pytest
from hotcoco import mask as rle
from report_project import NAMES, make_project
from ruamel.yaml import YAML

from pipeline.params import load
from pipeline.reporting.report import build

LEGEND = 5  # example boxes above the gallery
VOID = {"meta", "rect", "use", "image", "path", "br", "img", "link", "input", "circle", "line"}


class Page(HTMLParser):
    """Collects tags and external references, and checks that elements close in order."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.text, self.ids, self.references = [], [], [], [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.tags.append((tag, values))
        self.ids += [values["id"]] if "id" in values else []
        for key in ("src", "href", "xlink:href"):
            self.references += [values[key]] if key in values else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def run(root):
    build(load(root / "params.yaml"), root)
    return (root / "reports" / "index.html").read_text(encoding="utf-8")


def edit(root, old, new):
    path = root / "params.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def add_methods(root, names):
    """Further methods after the others, each with the files of bacl."""
    blocks = [f'  "{name}": {{from: bce, loss: {{type: fcbl}}, epochs: 12}}\n' for name in names]
    edit(root, "report:", f"{''.join(blocks)}report:")
    edit(root, "bce, bacl]", f"bce, bacl, {', '.join(map(json.dumps, names))}]")
    for file in [path for path in root.rglob("bacl.*") if path.is_file()]:
        for name in names:
            shutil.copy(file, file.with_name(f"{name}{file.suffix}"))
    for folder in ("models", "reports/diagnosis"):
        for name in names:
            shutil.copytree(root / folder / "bacl", root / folder / name)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    root = tmp_path_factory.mktemp("project")
    make_project(root)
    return root


@pytest.fixture
def project(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "project")


@pytest.fixture(scope="module")
def html(finished):
    return run(finished)


def test_writes_everything(finished, html):
    written = {p.relative_to(finished).as_posix() for p in (finished / "reports").rglob("*.*")}
    plots = ("ap_vs_frequency", "ap_by_frequency", "training_curves")
    assert written >= {
        *(f"reports/ap_by_frequency.{kind}" for kind in ("csv", "md", "tex")),
        *(f"reports/over_seeds.{kind}" for kind in ("csv", "md", "tex")),
        *(f"reports/plots/{name}.{kind}" for name in plots for kind in ("csv", "svg")),
        "reports/plots/delta_per_category.svg",
        "reports/index.html",
    }
    folder = finished / "reports" / "plots"
    table = pd.read_csv(folder / "ap_vs_frequency.csv", keep_default_na=False)
    assert table.columns.tolist() == [
        "method",
        "name",
        "group",
        "image_count",
        "instance_count",
        "AP",
    ]
    assert len(table) == 3 * len(NAMES)
    assert "none" in table.name.tolist()
    bars = pd.read_csv(folder / "ap_by_frequency.csv")
    assert bars.columns.tolist() == ["method", "group", "AP"]
    assert len(bars) == 3 * 4


def test_page_is_one_self_contained_accessible_file(html):
    page = Page(html)
    assert len(html) < 5_000_000
    assert all(r.startswith(("#", "data:image/")) for r in page.references)
    assert not re.search(r"url\((?!#)", html)
    assert len(set(page.ids)) == len(page.ids)
    assert {r[1:] for r in page.references if r.startswith("#")} <= set(page.ids)
    for tag, values in page.tags:
        assert tag != "th" or "scope" in values
        assert tag != "svg" or "aria-label" in values or values.get("aria-hidden") == "true"
    tables = [values for tag, values in page.tags if "scroll" in values.get("class", "").split()]
    assert all(values.get("tabindex") == "0" and "aria-label" in values for values in tables)
    names = [values["aria-label"] for values in tables]
    assert len(set(names)) == len(names) and "plot" not in names


def test_page_says_what_the_numbers_say(finished, html):
    text = " ".join(" ".join(Page(html).text).split())
    folder = finished / "reports" / "metrics"
    own, base = (json.loads((folder / f"{m}.json").read_text()) for m in ("bacl", "softmax"))
    change = f"{100 * (own['APr'] - base['APr']):+.1f}".replace("-", "\N{MINUS SIGN}")
    assert f"APr by {change}" in text
    assert "13 min 45 s" in text, "bacl's total adds the time of bce"
    assert "0123456789ab" in text
    assert "prob_thr: 0.7" in text
    assert all(" ".join(name.split()) in text for name in NAMES)


def section(html, name):
    """Its text."""
    found = re.search(rf'<section aria-labelledby="{name}">.*?</section>', html, re.DOTALL)
    return " ".join(" ".join(Page(found[0]).text).split())


def test_cost_has_the_representation_that_is_no_row_of_the_results(project):
    edit(project, "methods: [softmax, bce, bacl]", "methods: [softmax, bacl]")
    html = run(project)
    row = r"(\w+) (?:from bce )?train_\w+ cpu 12 750 6 min 52 s (\d+ min) \d\d s [\d.]+ 2,048 MB"
    assert re.findall(row, section(html, "cost")) == [
        ("softmax", "6 min"), ("bacl", "13 min"), ("bce", "6 min"),
    ]  # fmt: skip
    assert "bce" not in section(html, "results")


def test_a_calibration_costs_and_remakes_the_whole_chain_before_it(project):
    edit(project, "report:", "calibration: {cal: {from: bacl, type: norcal, gamma: 0.6}}\nreport:")
    edit(project, "methods: [softmax, bce, bacl]", "methods: [softmax, cal]")
    for file in [path for path in project.rglob("bacl.*") if path.is_file()]:
        shutil.copy(file, file.with_name(f"cal{file.suffix}"))
    (project / "models/cal").mkdir()
    (project / "models/cal/environment.json").write_text('{"stage": "calibrate"}')
    html = run(project)
    cost = section(html, "cost")
    assert "cal from bacl calibrate – – – – 13 min 45 s" in cost
    assert "bacl from bce train_classifier" in cost and "bce train_representation" in cost
    settings = YAML().load(re.search(r"<pre[^>]*>(data:.*?)</pre>", html, re.DOTALL)[1])
    assert list(settings["representation"]) == ["softmax", "bce"]
    assert list(settings["classifier"]) == ["bacl"] and list(settings["calibration"]) == ["cal"]


def edit_environment(root, method, **values):
    path = root / f"models/{method}/environment.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_one_commit_is_checked_out(html):
    text = section(html, "provenance")
    assert (
        "To train these models again git checkout 0123456789ab # with the parameters below as "
        "params.yaml make repro Parameters in force"
    ) in text


def test_several_commits_and_uncommitted_changes_are_told_apart(project):
    edit_environment(project, "bce", git_commit="f" * 40, git_dirty=True)
    text = section(run(project), "provenance")
    assert "softmax, bacl: git checkout 0123456789ab # with" in text
    assert "bce: git checkout ffffffffffff # with" in text
    assert "make repro bce: made with changes that were not committed" in text
    assert text.count("not committed") == 1


def test_gallery_shows_each_image_once_and_each_method(html):
    page = Page(html)
    assert sum(tag == "image" and "photo" in v["id"] for tag, v in page.tags) == 4
    captions = re.findall(r"<figcaption><b>(.*?)</b>", html)
    assert captions == ["ground truth", "softmax", "bce", "bacl"] * 4
    assert {"correct", "wrong", "unjudged"} <= set(re.findall(r'<g class="(\w+)', html))


def add_masks(root):
    """Boxes as masks in the predictions, diamonds as masks of the objects, and their AP."""
    path = root / "data/blocks/val.json"
    val = json.loads(path.read_text())
    for annotation in val["annotations"]:
        x, y, w, h = annotation["bbox"]
        middle = (x + w / 2, y + h / 2)
        diamond = [x, middle[1], middle[0], y, x + w, middle[1], middle[0], y + h]
        annotation["segmentation"] = [diamond]
    path.write_text(json.dumps(val))
    for method in ("softmax", "bce", "bacl"):
        path = root / f"predictions/{method}.parquet"
        table = pd.read_parquet(path)
        runs = rle.frPyObjects(table[list("xywh")].to_numpy(), 128, 128)
        table.assign(rle=[run["counts"].decode() for run in runs]).to_parquet(path)
        path = root / f"reports/metrics/{method}.json"
        metrics = json.loads(path.read_text())
        segm = {f"segm/{key}": value and value / 2 for key, value in metrics.items()}
        path.write_text(json.dumps(metrics | segm))


def test_masks_are_outlined_and_have_a_table(project):
    add_masks(project)
    html = run(project)
    page = Page(html)
    assert "<h3>Box AP</h3>" in html and "<h3>Mask AP</h3>" in html
    boxes, masks = (
        pd.read_csv(project / f"reports/ap_by_frequency{kind}.csv", index_col="method")
        for kind in ("", "_segm")
    )
    assert "fixed_APr" in masks
    pd.testing.assert_frame_equal(masks, boxes / 2)
    assert {p.suffix for p in (project / "reports").glob("ap_by_frequency_segm.*")} == {
        ".csv", ".md", ".tex",
    }  # fmt: skip
    drawn = [v["d"] for tag, v in page.tags if tag == "path" and v.get("class") == "mask"]
    assert len(drawn) == len([v for tag, v in page.tags if v.get("class") == "edge"]) - LEGEND
    assert all(re.fullmatch(r"(M[\d.]+,[\d.]+( [\d.]+,[\d.]+)*Z)+", path) for path in drawn)


def test_without_masks_nothing_is_said_about_them(project, html):
    assert 'class="mask"' not in html and "Mask" not in html and "segm" not in html
    (project / "reports/ap_by_frequency_segm.md").write_text("of an earlier detector")
    run(project)
    assert not list((project / "reports").glob("*segm*"))


def add_bins(root):
    for method in ("softmax", "bce", "bacl"):
        path = root / f"reports/metrics/{method}.json"
        metrics = json.loads(path.read_text())
        bins = {"simcal/AP1": 0.125, "simcal/AP2": 0.5, "simcal/AP3": 0.75, "simcal/AP4": None}
        path.write_text(json.dumps(metrics | bins | {f"fixed/{k}": v for k, v in bins.items()}))


def test_simcal_bins_take_the_place_of_rare_common_frequent(project):
    add_bins(project)
    edit(project, "gallery_images: 4", "gallery_images: 4, grouping: simcal")
    html = run(project)
    Page(html)
    header = (project / "reports/ap_by_frequency.md").read_text().splitlines()[0]
    titles = ("AP [1,20)", "ΔAP [1,20)", "AP [20,400)", "AP [400,8000)", "AP [8000,∞)")
    assert all(f"| {title} |" in header for title in titles)
    assert "APr" not in header
    shown = re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL)
    text = " ".join(" ".join(Page(shown).text).split())
    for word in ("rare", "common", "frequent"):
        assert not re.search(rf"\b{word}\b", text), word
    assert "4 in [1,20), 6 in [20,400), 2 in [400,8000), 0 in [8000,∞)" in text
    assert "the val images have no object of such a category" in text
    bars = pd.read_csv(project / "reports/plots/ap_by_frequency.csv")
    assert list(bars.group.unique()) == ["all", "[1,20)", "[20,400)", "[400,8000)", "[8000,∞)"]
    table = pd.read_csv(project / "reports/plots/ap_vs_frequency.csv")
    assert set(table.group) == {"[1,20)", "[20,400)", "[400,8000)"}
    assert "training objects of the category" in html


def test_metrics_without_the_bins_name_the_remedy(project):
    edit(project, "gallery_images: 4", "gallery_images: 4, grouping: simcal")
    with pytest.raises(ValueError, match=r"no simcal/AP1.*dvc repro --force evaluate@softmax"):
        run(project)


def test_gallery_starts_with_the_largest_change_on_rare_objects(project):
    """In image 5 only, the last method loses all of its rare objects."""
    val = json.loads((project / "data/blocks/val.json").read_text())
    rare = [a for a in val["annotations"] if a["category_id"] in (1, 2, 3)]
    perfect = pd.DataFrame(
        [(a["image_id"], a["category_id"], *a["bbox"], 0.9) for a in rare],
        columns=["image_id", "category_id", *"xywh", "score"],
    )
    target = rare[0]["image_id"]
    perfect.to_parquet(project / "predictions/softmax.parquet")
    perfect[perfect.image_id != target].to_parquet(project / "predictions/bacl.parquet")
    edit(project, "gallery_images: 4", "gallery_images: 1")
    assert f'<h3 class="file"><bdi>{target:06d}.png</bdi></h3>' in run(project)


def test_same_input_gives_the_same_bytes(finished, html, project):
    run(project)
    names = [p.relative_to(finished) for p in sorted((finished / "reports").rglob("*.*"))]
    differing = [n for n in names if (finished / n).read_bytes() != (project / n).read_bytes()]
    assert differing == []


def test_what_was_diagnosed_is_shown(html):
    for section in ("spread", "errors", "classifier"):
        assert f'<h2 id="{section}">' in html and f'<a href="#{section}">' in html
    text = " ".join(" ".join(Page(html).text).split())
    assert "Expected calibration error, in points: softmax 12.5, bce 12.5, bacl 12.5." in text
    assert "PENCIL 9 none 60 40.0 % 10.0 %" in text


def test_masks_have_seeds_and_intervals_of_their_own(project):
    """Of the methods that have masks: here not bce."""
    ap = {}
    for method, points in (("softmax", 0), ("bacl", 0.2)):
        path = project / f"reports/metrics/{method}.json"
        boxes = json.loads(path.read_text())
        ap[method] = boxes["AP"] + points
        masks = {f"segm/{key}": value and value + points for key, value in boxes.items()}
        path.write_text(json.dumps(boxes | masks))
        path = project / f"reports/diagnosis/{method}/bootstrap.csv"
        table = pd.read_csv(path)
        table.join(table.add_prefix("segm/") + points).to_csv(path, index=False)
    html = run(project)
    part = html.split('<h2 id="spread">')[1].split("</section>")[0]
    boxes, masks = part.split("<h3>Mask AP</h3>")
    assert "mask APr" in masks and "mask" not in boxes
    assert masks.count('<tr><th scope="row">') == 2 and boxes.count('<tr><th scope="row">') == 3
    seeds = pd.read_csv(project / "reports/over_seeds.csv").set_index("row")
    assert seeds.segm_AP_delta["bacl"] == pytest.approx(100 * (ap["bacl"] - ap["softmax"]))
    assert seeds.segm_AP_low["bacl"] < seeds.segm_AP_delta["bacl"] < seeds.segm_AP_high["bacl"]
    assert pd.isna(seeds.segm_AP["bce"]) and seeds.AP.notna().all()
    difference = f"{100 * (ap['bacl'] - ap['softmax']):+.1f} [+"
    assert difference in masks and difference not in boxes
    assert (project / "reports/plots/spread_segm.svg").is_file()


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("seeds.json", "[1]", "seeds.json is not what the stage `seeds` writes"),
        ("seeds.json", '{"bacl": {"1": {}}}', "seeds.json is not what the stage `seeds` writes"),
        ("seeds.json", '{"bacl": ', "seeds.json is not valid JSON"),
        (
            "diagnosis/bacl/errors.json",
            '{"ece": {}}',
            "errors.json is of another version; run: dvc",
        ),
        ("diagnosis/bacl/objects.csv", "", "objects.csv cannot be read"),
    ],
)
def test_a_damaged_file_is_named(tmp_path, file, text, words):
    make_project(tmp_path)
    (tmp_path / "reports" / file).write_text(text)
    with pytest.raises(ValueError, match=re.escape(words)):
        build(load(tmp_path / "params.yaml"), tmp_path)


def test_without_a_diagnosis_the_page_says_how_to_get_one(project):
    shutil.rmtree(project / "reports/diagnosis")
    html = run(project)
    Page(html)
    assert '<h2 id="errors">' not in html and '<h2 id="spread">' not in html
    assert "dvc repro diagnose@softmax" in html


@pytest.mark.parametrize("content", [None, "", 'category_id,"weight'])
def test_a_broken_diagnosis_is_named(project, content):
    path = project / "reports/diagnosis/bce/classifier.csv"
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=r"bce/classifier.csv .* dvc repro --force diagnose@bce"):
        run(project)


def test_another_seed_gives_a_mean_and_a_deviation(project):
    metrics = json.loads((project / "reports/metrics/bacl.json").read_text())
    shifted = {key: value and value - 0.02 for key, value in metrics.items()}
    replicates = pd.read_csv(project / "reports/diagnosis/bacl/bootstrap.csv")
    other = {"run": "run-7", "place": "there", "metrics": shifted}
    other["bootstrap"] = replicates.to_dict("list")
    (project / "reports/seeds.json").write_text(json.dumps({"bacl": {"7": other}}))
    text = " ".join(" ".join(Page(run(project)).text).split())
    mean = f"{100 * metrics['AP'] - 1:.1f} ± 1.4"
    assert mean in text
    assert "seeds other than 0 come from" in text
    assert "Other seeds Model Seed Run Place bacl 7 run-7 there" in text


def test_one_method_alone(project):
    edit(project, "methods: [softmax, bce, bacl]", "methods: [softmax]")
    html = run(project)
    Page(html)
    assert "softmax reaches AP" in html
    assert not (project / "reports/plots/delta_per_category.svg").exists()


def test_without_scalars_environment_detections_and_rare_categories(project):
    shutil.rmtree(project / "models")
    empty = pd.read_parquet(project / "predictions/bacl.parquet").iloc[:0]
    empty.to_parquet(project / "predictions/bacl.parquet")
    for method in ("softmax", "bce", "bacl"):
        path = project / f"reports/metrics/{method}.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"APr": None, "fixed/APr": None}))
        table = pd.read_csv(project / f"reports/per_category/{method}.csv", keep_default_na=False)
        table.loc[table.frequency == "r", ["AP", "AP50", "fixed_AP"]] = None
        table.to_csv(project / f"reports/per_category/{method}.csv", index=False)
    html = run(project)
    Page(html)
    text = section(html, "provenance")
    assert "models again # with the parameters below as params.yaml make repro" in text
    assert "0 of 3 found" in html
    assert "| none |" in (project / "reports/ap_by_frequency.md").read_text()
    assert "APr by" not in html
    assert not (project / "reports/plots/training_curves.svg").exists()
    assert (project / "reports/plots/training_curves.csv").is_file(), "dvc.yaml draws from it"


@pytest.mark.parametrize(
    ("missing", "remedy"),
    [
        ("reports/metrics/bce.json", "dvc repro evaluate@bce"),
        ("reports/per_category/bacl.csv", "dvc repro evaluate@bacl"),
        ("predictions/softmax.parquet", "dvc repro predict@softmax"),
        ("data/blocks/categories.csv", "dvc repro prepare"),
    ],
)
def test_a_missing_file_is_named_and_the_last_report_stays(project, missing, remedy):
    (project / "reports/index.html").write_text("the last report")
    (project / missing).unlink()
    with pytest.raises(ValueError, match=f"{missing} does not exist; run: {remedy}"):
        run(project)
    assert (project / "reports/index.html").read_text() == "the last report"


def test_many_categories_and_methods(tmp_path, root):
    counts = [1 + int(1500 / (i + 1)) for i in range(1203)]
    make_project(tmp_path, counts=counts, images=8)
    add_methods(tmp_path, [f"more{i}" for i in range(3)])
    html = run(tmp_path)
    assert len(html) < 5_000_000
    Page(html)


def test_methods_may_have_any_legal_name(project):
    """Also those of the report's own columns, and of what pandas and jinja know."""
    columns = ("name", "group", "training_count", "category_id", "method", "AP", "epoch", "step")
    others = ("items", "nan", "none", "True", "1", "_x_", "a--b", "delta")
    add_methods(project, [*columns, *others])
    assert "Largest gains of delta over softmax" in run(project)
    rows = pd.read_csv(project / "reports/ap_by_frequency.csv", keep_default_na=False)
    assert rows.method.tolist() == ["softmax", "bce", "bacl", *columns, *others]


def test_runs_as_a_stage_without_torch(finished, root):
    code = (
        "import sys, runpy; sys.argv = ['report']\n"
        "runpy.run_module('stages.report', run_name='__main__')\n"
        "assert 'torch' not in sys.modules and 'mlflow' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=finished,
        env={"PYTHONPATH": str(root), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
