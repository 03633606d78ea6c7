"""A data set's source is one file, found by its name; nothing else knows which there are."""

import shutil
import subprocess
import sys

import pytest
from ruamel.yaml import YAML

from pipeline import params
from pipeline.files import read_json
from pipeline.params.data import SOURCES
from pipeline.params.parse import parse

STRIPES = '''
"""``stripes``: a new source."""

from dataclasses import dataclass

from pipeline.data.categories import write_categories
from pipeline.files import write_json
from pipeline.params.data import Source
from pipeline.params.limits import limited


@dataclass(frozen=True, kw_only=True)
class Data(Source):
    stripes: int = limited(3, low=1, high=9)
    width: int = 40

    def __post_init__(self):
        if self.width % self.stripes:
            raise ValueError(f"data.width is {self.width}; it takes a multiple of data.stripes")

    def prepare(self, out):
        from PIL import Image

        from pipeline.data.index import write_index

        box = [0.0, 0.0, self.width / self.stripes, 40.0]
        row = {"id": 1, "name": "stripe", "frequency": "r", "image_count": 1, "instance_count": 1}
        documents = {}
        for split in ("train", "val"):
            (out / "images" / split).mkdir(parents=True)
            Image.new("RGB", (self.width, 40)).save(out / "images" / split / "1.png")
            image = {"id": 1, "file_name": "1.png", "width": self.width, "height": 40}
            image |= {"neg_category_ids": [], "not_exhaustive_category_ids": []}
            found = {"id": 1, "image_id": 1, "category_id": 1, "bbox": box, "area": box[2] * box[3]}
            found["segmentation"] = [[0, 0, box[2], 0, box[2], box[3], 0, box[3]]]
            documents[split] = {"images": [image], "annotations": [found], "categories": [row]}
            write_json(out / f"{split}.json", documents[split])
            write_index(out / "index" / split, documents[split])
        write_categories(out / "categories.csv", [row])
        return documents
'''


@pytest.fixture
def project(root, tmp_path):
    """A copy of the code with one file more, and a params.yaml that names it."""
    for name in ("pipeline", "stages"):
        shutil.copytree(root / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "pipeline/data/sources/stripes.py").write_text(STRIPES, encoding="utf-8")
    (tmp_path / "configs").symlink_to(root / "configs")
    write_data(root, tmp_path, stripes=4)
    return tmp_path


def write_data(root, folder, **knobs):
    yaml = YAML(typ="safe", pure=True)
    values = yaml.load(root / "params.yaml")
    values["data"] = {"name": "new", "source": "stripes", **knobs}
    yaml.dump(values, folder / "params.yaml")


def run(folder, *words):
    return subprocess.run(
        [sys.executable, *words], cwd=folder, capture_output=True, text=True, timeout=100
    )


IDENTITY = """
from pipeline import params
from pipeline.runs.identity import stage_inputs
print(stage_inputs(params.load(), "prepare"))
"""


def test_a_new_source_is_one_new_file(project, root):
    done = run(project, "-m", "stages.prepare")
    assert done.returncode == 0, done.stderr
    made = read_json(project / "data/new/val.json")
    assert made["annotations"][0]["bbox"] == [0, 0, 10, 40]
    assert (project / "data/new/images/val/1.png").is_file()
    assert "stripe" in (project / "reports/data/new.html").read_text(encoding="utf-8")
    before = run(project, "-c", IDENTITY).stdout
    assert "'stripes': 4" in before and "'width': 40" in before
    code = project / "pipeline/data/sources/stripes.py"
    code.write_text(STRIPES.replace('"RGB", (self.width, 40)', '"L", (self.width, 40)'))
    assert before != run(project, "-c", IDENTITY).stdout != ""


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"stripes": 3}, "error: data.width is 40; it takes a multiple of data.stripes"),
        ({"stripes": 0}, "error: data.stripes is 0; allowed: 1 to 9"),
        ({"strips": 2}, "error: unknown key data.strips in params.yaml; did you mean 'stripes'?"),
        ({"source": "stripe"}, "data.source is 'stripe'; allowed: files, lvis, stripes, symbols"),
    ],
)
def test_the_knobs_of_a_new_source_are_checked(project, root, knobs, words):
    write_data(root, project, **knobs)
    done = run(project, "-m", "stages.prepare")
    assert done.returncode == 1 and words in done.stderr
    assert done.stderr.count("\n") == 1 and not (project / "data").exists()


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("pipeline/data/symbols.py", "it is now `source: symbols`"),
        ("pipeline/data/sources/symbols.py", "it is now `source: symbols`"),
        ("pipeline/data/lvis.py", "it is now `source: lvis`"),
        ("../own/annotations", "is now `source: files, annotations: '../own/annotations'`"),
        ("~/own", "is now `source: files, annotations: '~/own'`"),
        ("stages", "is now `source: files, annotations: 'stages'`"),
        ("pipeline/data/symbol.py", "allowed: files, lvis, symbols"),
        ("symbol", "allowed: files, lvis, symbols"),
        ("__init__", "allowed: files, lvis, symbols"),
        (["symbols"], "allowed: files, lvis, symbols"),
        ({"symbols": 1}, "allowed: files, lvis, symbols"),
        (None, "allowed: files, lvis, symbols"),
        ("/" + "x" * 5000, "a folder of annotation files is now"),
    ],
)
def test_a_source_that_is_none_is_told_how_to_write_it(root, monkeypatch, written, words):
    monkeypatch.chdir(root)
    with pytest.raises(ValueError, match=r"^data\.source is ") as caught:
        parse(params.Source, {"name": "x", "source": written}, "data")
    assert words in str(caught.value)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


@pytest.mark.parametrize("value", [None, [], "symbols"])
def test_data_is_a_mapping(value):
    with pytest.raises(ValueError, match=r"^data is .*; it takes a mapping"):
        parse(params.Source, value, "data")


LOADED = """
import sys
from pathlib import Path
from pipeline import params
for path in Path("configs/presets").glob("*.yaml"):
    params.load(path)
print(*sorted({"numpy", "PIL", "cv2", "matplotlib", "pandas", "tqdm", "torch"} & {*sys.modules}))
"""


def test_reading_params_loads_no_heavy_package(root):
    done = run(root, "-c", LOADED)
    assert done.stderr == "" and done.stdout.split() == []


def test_every_source_has_a_preset(root):
    presets = (root / "configs/presets").glob("*.yaml")
    used = {params.load(path).data.source for path in presets}
    assert used == {file.stem for file in SOURCES.glob("[!_]*.py")}
