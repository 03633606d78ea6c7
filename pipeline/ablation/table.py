"""The comparison of a grid's finished members, by the code that compares any finished runs."""

from pathlib import Path

from pipeline.ablation.members import Run
from pipeline.comparison.compare import compare
from pipeline.runs.folders import runs_of
from pipeline.tables.rows import Name


def write_table(grid: str, runs: list[Run]) -> str:
    """Write reports/comparisons/<grid>/; returns its Markdown table, "" where none is finished.

    ``ValueError`` where the members are on different data: the message tells how to choose.
    """
    done = {run.name: run.member for run in runs if run.state == "done"}
    if not done:
        return ""
    order = {row: i for i, row in enumerate(dict.fromkeys(run.member.row for run in runs))}
    names = {name: Name(m.row, m.method, order[m.row]) for name, m in done.items()}
    methods = {member.method for member in done.values()}
    return compare(runs_of(Path(), list(done)), grid, names, methods)
