"""The pages in a real browser, on a desk and on a phone."""

import itertools

import pytest
from finished_runs import metrics, settings
from report_project import make_project

from pipeline.comparison.compare import REPORTS, compare
from pipeline.params import Params, load, parse
from pipeline.reporting.report import build
from pipeline.runs.finished import Finished, Result

DESK, PHONE = 1300, 390
LINES = """
(element, word) => {
    const [text, range] = [element.firstChild, document.createRange()];
    range.setStart(text, text.data.indexOf(word));
    range.setEnd(text, text.data.indexOf(word) + word.length);
    return range.getClientRects().length;
}
"""


def runs_of_all_switches():
    """Of 8 rows with 2 seeds each: 13 columns."""
    switches = ((True, False), (True, False), ({"type": "hallucination"}, None))
    for margin, weight, features in itertools.product(*switches):
        loss = {"type": "fcbl", "margin": margin, "weight": weight}
        block = {"loss": loss, "features": features}
        for seed in (0, 1):
            params = parse(Params, settings(seed, methods=("bacl",), **block), "")
            result = Result(metrics(0.4 + seed / 50 - margin / 9))
            yield Finished(f"{block}{seed}", "", params, {}, {"bacl": result})


@pytest.fixture
def comparison(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    compare(list(runs_of_all_switches()), "parts")
    return tmp_path / REPORTS / "parts" / "index.html"


@pytest.fixture
def show(browser):
    """A function that opens a file in a window of some width."""
    contexts = []

    def opened(path, width):
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}))
        page = contexts[-1].new_page()
        page.goto(path.as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()


def right_edge(element):
    box = element.bounding_box()
    return box["x"] + box["width"]


def test_thirteen_columns_fit_a_desk(comparison, show):
    page = show(comparison, DESK)
    headers = page.locator("section[aria-labelledby=results] thead th")
    assert headers.count() == 13
    assert all(right_edge(header) <= DESK for header in headers.all())
    assert page.locator("section[aria-labelledby=results] .title").first.is_hidden()


def test_a_phone_shows_the_rows_by_their_titles_and_ap_without_scrolling(comparison, show):
    page = show(comparison, PHONE)
    results = page.locator("section[aria-labelledby=results]")
    assert right_edge(results.get_by_role("columnheader", name="AP", exact=True)) <= PHONE
    assert results.get_by_text("bacl, margin off, weight on, features none").is_visible()
    assert results.get_by_text("features.type").is_hidden()
    assert results.locator(".title").first.evaluate(LINES, "features") == 1


def test_names_of_confused_pairs_have_room_on_a_phone(tmp_path, show):
    make_project(tmp_path)
    build(load(tmp_path / "params.yaml"), tmp_path)
    names = show(tmp_path / "reports/index.html", PHONE).locator("table.names td.text")
    assert names.first.bounding_box()["width"] >= 11 * 16
