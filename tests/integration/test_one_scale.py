"""An AP of 0.4457 is 44.6 (or 44.57) wherever somebody reads it, and nowhere 0.446."""

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from report_project import make_project

from pipeline.ablation import progress
from pipeline.ablation.members import Run
from pipeline.params import load
from pipeline.reporting.ending import ending
from pipeline.reporting.report import build
from pipeline.runs.grid import Member
from pipeline.tables.one_line import in_one_line

PERCENT = re.compile(r"\b44\.(6|57)\b")
FRACTION = re.compile(r"\b0\.44[56]")
WRITTEN = [
    "ap_by_frequency.csv", "ap_by_frequency.md", "ap_by_frequency.tex", "index.html",
    "over_seeds.csv", "over_seeds.md", "over_seeds.tex", "plots/ap_by_frequency.csv",
    "plots/ap_by_frequency.svg", "summary.json", "comparisons/all/index.html",
    "comparisons/all/table.csv", "comparisons/all/table.md", "comparisons/all/table.tex",
]  # fmt: skip


@pytest.fixture(scope="module")
def project(root, tmp_path_factory):
    """Finished, reported and compared; bacl's AP is 0.4457, and that of a category."""
    folder = tmp_path_factory.mktemp("project")
    make_project(folder)
    shutil.copy(root / "dvc.yaml", folder)
    path = folder / "reports/metrics/bacl.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"AP": 0.4457}))
    path = folder / "reports/per_category/bacl.csv"
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows([{**rows[0], "AP": 0.4457}, *rows[1:]])
    path.write_text(text.getvalue(), encoding="utf-8")
    build(load(folder / "params.yaml"), folder)
    (folder / "printed").write_text(run(folder, "pipeline.comparison", "--name", "all"))
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    run(folder, "dvc", "init", "-q")
    shutil.copytree(root / ".dvc/plots", folder / ".dvc/plots", dirs_exist_ok=True)
    return folder


def run(folder, module, *arguments):
    root = str(Path(__file__).resolve().parents[2])
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=folder,
        env=os.environ | {"PYTHONPATH": root}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def visible(text):
    """Of a page or a drawing what is read: no coordinates."""
    if text.startswith("<?xml"):
        return " ".join(re.findall(r"<text[^>]*>([^<]*)<", text))
    text = re.sub(r"<(svg|style|script)\b.*?</\1>", "", text, flags=re.DOTALL)
    return re.sub(r"<[^>]*>", " ", text)


def check(text):
    assert PERCENT.search(text), text
    assert not FRACTION.search(text), text


@pytest.mark.parametrize("name", WRITTEN)
def test_what_is_written(project, name):
    check(visible((project / "reports" / name).read_text(encoding="utf-8")))


def test_what_the_comparison_prints(project):
    check((project / "printed").read_text())


def test_a_category(project):
    page = (project / "reports/index.html").read_text(encoding="utf-8")
    check(visible(page.split('<h2 id="categories">')[1].split("</section>")[0]))
    with open(project / "reports/plots/ap_vs_frequency.csv", encoding="utf-8") as file:
        assert "44.57" in {row["AP"] for row in csv.DictReader(file)}


def test_the_end_of_a_run(project):
    params = load(project / "params.yaml")
    metrics = json.loads((project / "reports/metrics/bacl.json").read_text())
    check(ending(params, project, project, []))
    check(in_one_line("bacl", metrics, "lvis"))


def test_a_member_of_an_ablation(monkeypatch):
    monkeypatch.setattr(progress.experiments, "finished", lambda: {"all": "refs/exps/1"})
    monkeypatch.setattr(progress.experiments, "metrics", lambda *_: {"AP": 0.4457})
    member = Member("all", "all", (), method="bacl")
    check(progress.Progress(1).line(Run(member, "all", Path("log"), (), "done")))


@pytest.mark.parametrize("command", [("metrics", "show"), ("plots", "show", "--json")])
def test_what_dvc_shows(project, command):
    check(run(project, "dvc", *command))


def test_what_dvc_draws_has_an_axis_in_percent(root):
    for name in ("ap_by_frequency", "ap_vs_frequency"):
        template = (root / f".dvc/plots/{name}.json").read_text()
        assert '"title": "AP, %"' in template
        assert not re.search(r"\.\d%", template), "Vega multiplies by 100 for this format"
