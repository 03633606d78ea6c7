"""MLflow's own pages in a real browser: what a user sees at the address that `track` prints.

``BACL_PICTURES=docs/images pytest tests/integration/test_mlflow_ui.py`` makes the pictures.
"""

import io
import os
import re
from pathlib import Path

import pytest
from tracking_project import Server, scalars, write, write_project, write_training

from pipeline.tracking import sync as tracking_sync
from pipeline.tracking import views

RESULTS = {  # of (alpha, seed): APr in percent
    (0.85, 0): 34.9,
    (0.85, 1): 35.5,
    (0.5, 0): 31.2,
    (0.5, 1): 31.6,
}
PATIENCE = 60_000  # ms; the machine may be busy


@pytest.fixture(scope="module")
def project(tmp_path_factory, root):
    """Two configurations, each with two seeds, in a SQLite store."""
    folder = tmp_path_factory.mktemp("project")
    write_project(folder, root)
    text = (folder / "params.yaml").read_text()
    for (alpha, seed), rare in RESULTS.items():
        edited = text.replace("alpha: 0.85", f"alpha: {alpha}")
        (folder / "params.yaml").write_text(edited.replace("\nseed: 0", f"\nseed: {seed}"))
        write(
            folder / "reports/metrics/bacl.json",
            f'{{"AP": {(rare + 11) / 100}, "APr": {rare / 100}, "APc": 0.628, "APf": 0.803}}',
        )
        write_training(folder, "bacl", with_system(scalars(range(1, 21))))
        folder.joinpath("address").write_text(tracking_sync.sync(folder, force=True))
    return folder


def with_system(text):
    more = '"time": 2.0, "system/cpu_utilization_percentage": 93.5}'
    return text.replace("}\n", f", {more}\n")


@pytest.fixture(scope="module")
def server(project, browser):
    with Server(project) as started:
        yield started


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 1400, "height": 800})
    context.set_default_timeout(PATIENCE)
    yield context.new_page()
    context.close()


def open_address(page, server, address):
    page.goto(server.uri + address)
    close = page.get_by_role("button", name="Close", exact=True)
    page.locator(".ag-center-cols-container [role=row]").first.wait_for()
    if close.count():  # an assistant's panel
        close.first.click()


def printed_address(project):
    """What `track` has printed, after the host."""
    return re.search(r"http://127.0.0.1:5000(\S+)", (project / "address").read_text())[1]


def keep_picture(page, name):
    """Only where it was asked for; few colours, as they are only for reading."""
    if folder := os.environ.get("BACL_PICTURES"):
        from PIL import Image

        picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(64)
        Path(folder).mkdir(parents=True, exist_ok=True)
        picture.save(Path(folder, name), optimize=True)


def test_two_configurations_are_compared_by_three_clicks(page, project, server):
    open_address(page, server, printed_address(project))
    page.get_by_text("4 matching runs").wait_for()  # no stage among them
    header = page.locator(".ag-header")
    for column in ("bacl/AP", "bacl/APr", "bacl/APc", "bacl/APf", "softmax/AP", "bce/AP"):
        header.get_by_text(column, exact=True).first.wait_for()  # whose AP it is
    for name in ("bacl · seed 0 · symbols", "bacl, alpha 0.5 · seed 0 · symbols"):
        row = page.locator(".ag-pinned-left-cols-container [role=row], [role=row]").filter(
            has_text=name
        )
        row.first.locator("input[type=checkbox]").first.check(force=True)
    keep_picture(page, "mlflow_runs.png")
    page.get_by_role("button", name="Compare").click()
    page.get_by_text("Comparing 2 Runs").first.wait_for()
    page.get_by_role("switch", name="Parameters").click()  # the difference alone
    rare = page.locator("a[title='Plot chart']", has_text=re.compile("^bacl/APr$"))
    rare.scroll_into_view_if_needed()
    for value in ("34.9", "31.2"):
        found = page.get_by_text(value, exact=True).first.bounding_box()
        assert abs(found["y"] - rare.bounding_box()["y"]) < 20  # in one row
    keep_picture(page, "mlflow_compare.png")


def test_seeds_are_gathered_with_their_mean(page, project, server):
    open_address(page, server, views.address(1, "seeds"))
    page.get_by_text("bacl, alpha 0.5 · symbols · ").first.wait_for()
    cells = page.locator(".ag-center-cols-container").inner_text()
    assert "35.2" in cells
    assert "31.4" in cells
    keep_picture(page, "mlflow_seeds.png")


def test_system_metrics_have_a_tab_of_their_own(page, project, server):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{project}/mlflow.db")
    (run, *_) = client.search_runs(["1"], "tags.stage = 'train_classifier@bacl'")
    page.goto(f"{server.uri}/#/experiments/1/runs/{run.info.run_id}/system-metrics")
    page.get_by_text("cpu_utilization_percentage").first.wait_for()
