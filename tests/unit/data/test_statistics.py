"""The statistics of a data set, and the page that `prepare` writes about it."""

import re

import numpy as np
import pytest
from ruamel.yaml import YAML

from pipeline.data.statistics import statistics
from pipeline.reporting.data_page import write_data_page
from stages.prepare import prepare

YAML_FILE = YAML(typ="safe", pure=True)


def document(boxes, letters="rf", images=3):
    """``boxes``: (image id, category id, area)."""
    return {
        "images": [{"id": i, "width": 60 + i, "height": 40} for i in range(10, 10 + images)],
        "annotations": [
            {"id": n, "image_id": image, "category_id": category, "area": area}
            for n, (image, category, area) in enumerate(boxes)
        ],
        "categories": [
            {"id": 7 * (i + 1), "name": f"<b>{i}", "frequency": letter}
            for i, letter in enumerate(letters)
        ],
    }


def test_counts_of_a_split():
    found = statistics(document([(10, 7, 5), (10, 7, 32**2), (10, 14, 96**2), (12, 14, 1e5)]))
    assert found.image_count.tolist() == [1, 2]
    assert found.instance_count.tolist() == [2, 2]
    assert found.boxes.tolist() == [3, 0, 1]
    assert found.sizes.tolist() == [[70, 40], [71, 40], [72, 40]]
    assert found.images_of_group == {"r": 1, "c": 0, "f": 2}
    assert found.area_shares == [0.25, 0.25, 0.5]  # 32² is medium and 96² large already


def test_counts_equal_a_plain_loop():
    rng = np.random.default_rng(0)
    boxes = [(10 + int(i), 7 * int(c), 9.0) for i, c in rng.integers([0, 1], [50, 9], (400, 2))]
    found = statistics(document(boxes, "rrccfffr", 50))
    for k in range(8):
        carriers = [image for image, category, _ in boxes if category == 7 * (k + 1)]
        assert found.instance_count[k] == len(carriers)
        assert found.image_count[k] == len(set(carriers))


@pytest.mark.parametrize("boxes", [[(10, 7, 5.0)], [(10, 7, 5.0), (11, 14, 5e5), (11, 14, 1e3)]])
def test_page_is_one_file_that_hides_and_runs_nothing(tmp_path, boxes):
    documents = {"train": document(boxes), "val": document(boxes[:1])}
    write_data_page(tmp_path / "page.html", "a&b", documents)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "a&amp;b" in page and "&lt;b&gt;0" in page and "<b>0" not in page
    assert page.count('<svg role="img"') == 4
    assert not re.search(r'(src|href)="(?!#)', page)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_page_states_the_counts(tmp_path):
    boxes = [(10, 7, 5.0)] * 3 + [(11, 14, 9e4)] * 1234
    documents = {"train": document(boxes), "val": document([(12, 14, 50.0)])}
    for name in ("page", "again"):
        write_data_page(tmp_path / f"{name}.html", "mine", documents)
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert page == (tmp_path / "again.html").read_text(encoding="utf-8")
    frequent = re.search(r'<tr><th scope="row" class="f-f">.*?</tr>', page, re.DOTALL).group()
    cells = re.findall(r"<td>([^<]*)</td>", frequent)
    assert cells == ["1", "1", "1", "1,234", "99.8 %", "1", "1", "1", "100.0 %"]


def test_prepare_writes_the_page_of_a_generated_set(root, tmp_path, monkeypatch):
    raw = YAML_FILE.load((root / "params.yaml").read_text(encoding="utf-8"))
    raw["data"] |= {"categories": 6, "train_images": 8, "val_images": 4, "image_size": 64}
    with open(tmp_path / "params.yaml", "w", encoding="utf-8") as file:
        YAML_FILE.dump(raw, file)
    monkeypatch.chdir(tmp_path)
    prepare()
    assert (tmp_path / "data/symbols/train.json").is_file()
    page = (tmp_path / "reports/data/symbols.html").read_text(encoding="utf-8")
    assert "The data set symbols" in page
    assert '<dt>train images</dt><dd class="value">8</dd>' in page
