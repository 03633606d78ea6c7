"""The code that a file reaches, and a digest of what it does."""

import ast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.runs import closure


@pytest.fixture
def project(tmp_path):
    """Path -> text; the packages' __init__ are there."""

    def write(**files):
        for name, text in files.items():
            file = tmp_path / f"{name.replace('__', '/')}.py"
            for folder in reversed(file.relative_to(tmp_path).parents[:-1]):
                (tmp_path / folder).mkdir(exist_ok=True)
                (tmp_path / folder / "__init__.py").touch()
            file.write_text(text)
        return tmp_path

    return write


def reached(root, *entries, closed=()):
    found = closure.Code(root).closure(entries, closed)
    return {file for file in found.files if not file.endswith("__init__.py")}, found.packages


def test_imports_of_every_form_are_followed(project):
    root = project(
        stages__a="import pipeline.one.b\ndef later():\n    from pipeline.one import c, name\n",
        pipeline__one__b="from . import d\nfrom ..two.e import something\n",
        pipeline__one__c="IMPORTS = ['pipeline.two.f', 'pipeline.not.there', 'a pipeline.two.g']\n",
        pipeline__one__d="import torch.nn as nn, os\nfrom numpy.linalg import norm\n",
        pipeline__two__e="",
        pipeline__two__f="from pipeline.one import b\n",
        pipeline__two__g="",
    )
    files, packages = reached(root, "stages/a.py")
    assert files == {
        *("stages/a.py", "pipeline/one/b.py", "pipeline/one/c.py", "pipeline/one/d.py"),
        *("pipeline/two/e.py", "pipeline/two/f.py"),
    }
    assert packages == {"torch", "numpy"}
    assert "pipeline/one/__init__.py" in closure.Code(root).closure(["stages/a.py"]).files


def test_nothing_is_reached_through_a_closed_room(project):
    root = project(
        stages__a="from pipeline.silent import b\nfrom pipeline import quiet\n",
        pipeline__silent__b="from pipeline.loud import c\nimport mlflow\n",
        pipeline__loud__c="",
        pipeline__quiet="import tqdm\n",
    )
    closed = ("pipeline/silent", "pipeline/quiet.py")
    assert reached(root, "stages/a.py", closed=closed) == ({"stages/a.py"}, frozenset())
    assert "pipeline/loud/c.py" in reached(root, "stages/a.py")[0]


def test_what_lies_beside_a_module_under_its_name_belongs_to_it(project):
    root = project(pipeline__pages__page="", pipeline__pages__other="")
    for name in ("page.html.j2", "page.css", "other.css", "pages.css"):
        (root / "pipeline/pages" / name).write_text("x")
    files, _ = reached(root, "pipeline/pages/page.py")
    assert files == {f"pipeline/pages/page.{kind}" for kind in ("py", "css", "html.j2")}
    before = closure.Code(root).digest(sorted(files))
    (root / "pipeline/pages/page.css").write_text("y")
    assert closure.Code(root).digest(sorted(files)) != before


def test_a_config_s_bases_are_reached(project):
    root = project(
        configs__detectors__a='_base_ = ["b.py", "../common.py"]\nmodel = dict(neck=1)\n',
        configs__detectors__b='_base_ = "c.py"\nmodel = dict(type="x", roi_head=dict(a=1))\n',
        configs__detectors__c="model = dict(bbox_head=2)\n",
        configs__common="",
        configs__detectors__d="",
    )
    files, _ = reached(root, "configs/detectors/a.py")
    assert files == {*(f"configs/detectors/{x}.py" for x in "abc"), "configs/common.py"}
    keys = closure.keys_of(root, "configs/detectors/a.py", "model")
    assert keys == {"neck", "type", "roi_head", "bbox_head"}


ONE = '''"""A module."""
import os  # why


class A:
    """A class."""

    b = 1

    def c(self, *, d=(1, 2)):
        """Does."""
        return f"{d!r:>10}" + "text"
'''
SAME = '''import os
class A:
    """Otherwise said."""
    b = (1)
    def c(
        self, *,
        d=(1, 2),
    ):
        return f"{d!r:>10}" + 'text'  # a comment
'''
OTHER = [("b = 1", "b = 2"), ('"text"', '"Text"'), (">10", ">11"), ("(1, 2)", "(2, 1)"),
         ("import os", "import sys"), ("def c", "def e"), ("return f", "return 1, f")]  # fmt: skip


def digest(text):
    return closure.parse_source(text, ()).digest


def test_comments_docstrings_and_layout_do_not_count():
    assert digest(ONE) == digest(SAME)


@pytest.mark.parametrize(("old", "new"), OTHER)
def test_what_code_does_counts(old, new):
    assert old in ONE
    assert digest(ONE) != digest(ONE.replace(old, new))


def test_the_digest_is_that_of_other_versions_of_python():
    """A lock file goes from one to another, so no new field of a tree may come in."""
    assert digest(ONE) == "9bbbb807ada9983ed78bc01d7c12dab0467d8acf90f9251251753bf55358a35b"


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(["", "# a", "    # b", '"""c"""', "x"]), max_size=8))
def test_whatever_stands_between_two_lines(lines):
    """A text on a line of its own is an expression, and only the first one a docstring."""
    kept = [line for line in lines if not line.strip().startswith("#")]
    texts = [f"import os\n{chr(10).join(part)}\ny = 1\n" for part in (lines, kept)]
    assert digest(texts[0]) == digest(texts[1])


def test_a_package_s_relative_imports_start_from_itself(project):
    root = project(pipeline__one__b="")
    (root / "pipeline/one/__init__.py").write_text("from . import b\nfrom .. import two\n")
    names = closure.read_source(root / "pipeline/one/__init__.py").names
    assert {"pipeline.one.b", "pipeline.two"} <= names


def test_a_class_without_a_body_but_its_docstring():
    assert digest('class A:\n    """a"""\n') == digest('class A:\n    """b"""\n')
    assert ast.parse('class A:\n    """a"""\n')


def test_a_base_in_a_package_is_that_package_s_file(project, monkeypatch):
    root = project(configs__detectors__a='_base_ = "theirs::some/b.py"\n', theirs__c="")
    (root / "theirs/.mim/configs/some").mkdir(parents=True)
    (root / "theirs/.mim/configs/some/b.py").write_text("model = dict(roi_head=1)\n")
    monkeypatch.syspath_prepend(root)
    files, _ = reached(root, "configs/detectors/a.py")
    assert "theirs/.mim/configs/some/b.py" in files
    assert closure.keys_of(root, "configs/detectors/a.py", "model") == {"roi_head"}


def test_code_that_cannot_be_read_is_named(project):
    root = project(stages__a="from pipeline import b\n", pipeline__b="x = (\n")
    with pytest.raises(ValueError, match=r"pipeline/b\.py, line 1: .* never closed; correct it"):
        reached(root, "stages/a.py")


def test_what_was_read_is_noted_until_the_file_is_another_one(project, monkeypatch):
    root = project(stages__a="x = 1\n")
    (root / ".dvc/tmp").mkdir(parents=True)
    code = closure.Code(root)
    first = code.digest(["stages/a.py"])
    code.keep_notes()
    with monkeypatch.context() as patch:
        patch.setattr(closure, "read_source", None)  # nobody asks it again
        assert closure.Code(root).digest(["stages/a.py"]) == first
    (root / "stages/a.py").write_text("x = 2\n")
    assert closure.Code(root).digest(["stages/a.py"]) != first
    monkeypatch.setattr(closure, "READER", "another version")
    (root / "stages/a.py").write_text("x = 1\n")
    assert closure.Code(root).digest(["stages/a.py"]) == first
    (root / closure.NOTED).write_text("{half")
    assert closure.Code(root).digest(["stages/a.py"]) == first
