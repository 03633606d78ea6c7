"""What a user names as sources -> finished runs, and the names that grids give them."""

import re
import sys
from pathlib import Path

from pipeline.runs import folders
from pipeline.runs.experiments import plain
from pipeline.runs.finished import Finished
from pipeline.runs.grid import combine, read_grid
from pipeline.tables.rows import Name

MLFLOW = "mlflow:"
GRIDS = Path("configs", "ablations")
UNSEEN = re.compile(r"-[0-9a-f]{10}$|-seed-\d+(?=-|$)")  # of an experiment's name, in its row


def read_sources(sources, tracking_uri=None) -> list[Finished]:
    """In the order of the sources; without one the project in the current folder."""
    here = [source for source in sources if not is_elsewhere(source)]
    runs = folders.runs_of(Path(), here) if here or not sources else []
    for source in filter(is_elsewhere, sources):
        if source.startswith(MLFLOW):
            from pipeline.comparison import mlflow_runs

            runs += mlflow_runs.runs_of(source.removeprefix(MLFLOW), tracking_uri)
        else:
            folder, _, pattern = source.partition(":")
            runs += folders.runs_of(Path(folder), [pattern] if pattern else [])
    return runs


def is_elsewhere(source) -> bool:
    """``ValueError`` for a folder that is not there, or is no project."""
    if source.startswith(MLFLOW):
        return True
    folder = Path(source.partition(":")[0])
    if folder.is_dir() and (folder / "params.yaml").is_file():
        return True
    if folder.is_dir() or "/" in source:
        raise ValueError(f"{folder} is no folder with a params.yaml")
    return False


def grid_names(runs: list[Finished]) -> dict[str, Name]:
    """By the run's name, of those that are experiments of a grid in configs/ablations/."""
    known = {}
    for path in sorted(GRIDS.glob("*.yaml")):
        try:
            raw = read_grid(path)
        except ValueError as error:
            print(f"warning: {error}; its runs keep their own names", file=sys.stderr)
            continue
        for order, member in enumerate(combine(raw)):
            known.setdefault(
                plain(f"{path.stem}-{member.row}"), (member.row, raw.get("method"), order)
            )
    names = {}
    for run in runs:
        row, method, order = known.get(UNSEEN.sub("", run.name), (None, None, 0))
        if row is not None:
            names[run.name] = Name(row, method or run.params.report.methods[-1], order)
    return names
