"""A section of the report is one file and one template, found by listing their folder."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from report_project import make_project

from pipeline.reporting import sections
from pipeline.reporting.report import joined

MODULE = '''
"""How many categories each method was evaluated on."""

import pandas as pd
from matplotlib.figure import Figure

from pipeline.reporting.sections import Plot, Section

TITLE = "Sizes"
PLACE = 45


def make(inputs) -> Section:
    sizes = inputs.per_category.method.value_counts().loc[inputs.methods]
    figure = Figure()
    figure.subplots().bar(inputs.methods, sizes)
    table = pd.DataFrame({"method": inputs.methods, "categories": sizes.to_list()})
    return Section(
        values={"total": int(sizes.sum())},
        plots={"sizes": Plot("Categories of each method", figure, table)},
        files={"sizes.md": "sizes"},
    )
'''
TEMPLATE = """
{% from "template.html.j2" import chip, plot with context %}
<section aria-labelledby="sizes">
<h2 id="sizes">Sizes</h2>
<p>{{ chip(baseline) }}: {{ total }} rows in all.</p>
{{ plot("sizes", "As they are.") }}
</section>
"""
HIDDEN = '''
"""Nothing to show, and a file to write."""

from pipeline.reporting.sections import Section

TITLE = "Hidden"
PLACE = 5


def make(inputs) -> Section:
    return Section(None, files={"hidden.md": "hidden", "stale.md": None})
'''


@pytest.fixture(scope="module")
def reports(root, tmp_path_factory):
    """reports/ by a copy of the code with two sections more."""
    code, project = (tmp_path_factory.mktemp(name) for name in ("code", "project"))
    for folder in ("configs", "pipeline", "stages"):
        shutil.copytree(root / folder, code / folder)
    folder = code / "pipeline" / "reporting" / "sections"
    (folder / "sizes.py").write_text(MODULE, encoding="utf-8")
    (folder / "sizes.html.j2").write_text(TEMPLATE, encoding="utf-8")
    (folder / "hidden.py").write_text(HIDDEN, encoding="utf-8")
    make_project(project)
    (project / "reports" / "stale.md").write_text("of an earlier report")
    done = subprocess.run(
        [sys.executable, "-m", "stages.report"],
        cwd=project,
        env={"PYTHONPATH": str(code), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return project / "reports"


def test_a_new_file_and_its_template_are_a_section_in_its_place(reports):
    html = (reports / "index.html").read_text(encoding="utf-8")
    links = re.findall(r'<a href="#\w+">([^<]*)</a>', html.split("<main>")[0])
    where = links.index("Sizes")
    assert links[where - 1 : where + 2] == ["By category", "Sizes", "Errors"]
    shown = re.search(r'<section aria-labelledby="sizes">.*?</section>', html, re.DOTALL)[0]
    assert "softmax: 36 rows in all." in shown
    assert 'aria-label="Categories of each method, for softmax, bce, bacl"' in shown


def test_its_plot_data_and_files_are_written(reports):
    assert (reports / "plots" / "sizes.svg").is_file()
    table = pd.read_csv(reports / "plots" / "sizes.csv")
    assert table.to_dict("list") == {"method": ["softmax", "bce", "bacl"], "categories": [12] * 3}
    assert (reports / "sizes.md").read_text() == "sizes"


def test_a_section_with_nothing_to_show_writes_its_files_all_the_same(reports):
    assert "Hidden" not in (reports / "index.html").read_text(encoding="utf-8")
    assert (reports / "hidden.md").read_text() == "hidden"
    assert not (reports / "stale.md").exists()


def test_every_section_has_a_template_and_every_template_a_section():
    modules = [Path(module.__file__) for module in sections.modules()]
    folder = Path(sections.__file__).parent
    assert {path.with_suffix(".html.j2") for path in modules} == {*folder.glob("*.j2")}


def test_two_sections_cannot_make_the_same_file():
    assert joined([{"a": 1}, {"b": 2}]) == {"a": 1, "b": 2}
    with pytest.raises(ValueError, match="two sections of the report make 'a'; rename one"):
        joined([{"a": 1}, {"a": 2}])
