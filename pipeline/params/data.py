"""The section `data`: ``source`` names a file of pipeline/data/sources/, which has the other knobs.

A source is one file with a class ``Data`` that derives from ``Source``; nothing lists it. The file
is imported wherever params.yaml is read, so what takes long to import stands inside its functions.
"""

import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from pipeline.messages import shown
from pipeline.params.parse import parse_dataclass, require

SOURCES = Path(__file__).resolve().parents[1] / "data" / "sources"


@dataclass(frozen=True, kw_only=True)
class Source:
    """What the pipeline asks a data set.

    A source adds its knobs as fields, its checks as ``__post_init__`` and ``prepare``. One that
    makes its images needs no more; one that reads what lies elsewhere says so in the others.
    """

    name: str
    source: str

    @classmethod
    def from_yaml(cls, value: Any, key: str) -> "Source":
        """Of the class ``Data`` in the file that ``value`` names."""
        require(isinstance(value, dict), key, value, "a mapping")
        return parse_dataclass(data_class(value.get("source"), f"{key}.source"), value, key)

    @property
    def file(self) -> Path:
        return SOURCES / f"{self.source}.py"

    def prepare(self, out: Path) -> dict[str, dict]:
        """Write {train,val}.json (LVIS format), index/{train,val} and categories.csv into ``out``.

        Returns the two documents by the name of their split.
        """
        raise NotImplementedError

    def images(self, split: str) -> Path:
        """The folder that the file names of ``split`` ("train" or "val") start from."""
        return Path("data", self.name, "images", split)

    def origin(self, split: str) -> str | Path | None:
        """The address or the file that the annotations of ``split`` come from; None: our code."""
        return None

    def files(self) -> dict[str, Path]:
        """The user's own files whose change makes ``prepare`` run again, by key of params.yaml.

        Only those that are there, and none that ``prepare`` makes itself.
        """
        return {}

    def paths(self) -> dict[str, str]:
        """Values by key of params.yaml that start from the current folder where they are relative,
        and not from the project as ``in_project`` has it."""
        return {}

    @property
    def benchmark(self) -> str | None:
        """The data set of pipeline/tables/published.csv that this one is."""
        return None

    def check_outside(self, key: str, written: str, folder: Path) -> None:
        """``ValueError`` where ``folder``, which is the user's, lies in one that DVC empties."""
        made = Path(os.path.realpath(in_project(str(Path("data", self.name)))))
        place = Path(os.path.realpath(folder))  # also of a link that leads to itself
        if made in (place, *place.parents):
            raise ValueError(
                f"{key} is {shown(written)}, but DVC empties data/{self.name} before it runs "
                "`prepare`; move this folder out of it, or choose another data.name"
            )


def data_class(source: Any, key: str) -> type[Source]:
    known = sorted(file.stem for file in SOURCES.glob("[!_]*.py"))
    if source not in known:
        hint = new_spelling(source, known) or f"allowed: {', '.join(known)}"
        raise ValueError(f"{key} is {shown(source)}; {hint}")
    found = import_module(f"pipeline.data.sources.{source}")
    assert issubclass(getattr(found, "Data", object), Source), f"{source}.py has no Data(Source)"
    return found.Data


def new_spelling(source: Any, known: list[str]) -> str | None:
    """Of a source as it was written when it was a path of code or a folder."""
    if not isinstance(source, str):
        return None
    if source.endswith(".py"):
        stem = Path(source).stem
        return f"it is now `source: {stem}`" if stem in known else None
    if "/" in source or os.path.isdir(source):  # noqa: PTH112 (which takes any text)
        folder = shown(source)
        return f"a folder of annotation files is now `source: files, annotations: {folder}`"
    return None


def in_project(path: str) -> Path:
    """``path`` with ~ expanded; a relative one starts from the project, also in DVC's copies."""
    project = Path(os.environ.get("DVC_ROOT", "."))
    here = project.resolve() == Path.cwd()
    return expanded(path) if here else project / expanded(path)


def expanded(path: str) -> Path:
    """``path`` with ~ expanded."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # ~somebody
        raise ValueError(
            f"{shown(path)} starts in the home of somebody whom this machine does not know; write "
            "the whole path"
        ) from None
