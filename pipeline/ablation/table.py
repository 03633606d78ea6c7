"""The comparison: a row a member, AP and its parts, over seeds as mean and standard deviation."""

import csv
import io
import statistics
from pathlib import Path

from pipeline.ablation import experiments
from pipeline.ablation.run import Run
from pipeline.files import write_text

COLUMNS = ("AP", "APr", "APc", "APf")
REPORTS = Path("reports", "ablations")


def write_table(grid: str, runs: list[Run]) -> str:
    """Write reports/ablations/<grid>.csv and .md of the finished members; returns the latter."""
    references = experiments.finished()
    values = {run.member.row: [] for run in runs}
    for run in runs:
        if run.state == "done":
            found = experiments.metrics(references[run.name], run.member.method)
            values[run.member.row].append([found.get(column) for column in COLUMNS])
    rows = [
        (row, len(seeds), *map(summary, zip(*seeds, strict=True)))
        for row, seeds in values.items()
        if seeds
    ]
    write_text(REPORTS / f"{grid}.csv", as_csv(rows))
    write_text(REPORTS / f"{grid}.md", text := as_markdown(rows))
    return text


def summary(values) -> tuple[float | None, float | None]:
    """Mean and sample standard deviation in percent; a group that has no category has neither."""
    known = [100 * value for value in values if value is not None]
    if not known:
        return None, None
    return statistics.mean(known), statistics.stdev(known) if len(known) > 1 else None


def as_csv(rows) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["member", "n", *(name for c in COLUMNS for name in (c, f"{c}_sd"))])
    for row, count, *cells in rows:
        writer.writerow([row, count, *(number(v, 4) for cell in cells for v in cell)])
    return out.getvalue()


def as_markdown(rows) -> str:
    """With ± and n where a member was run with several seeds."""
    several = any(count > 1 for _, count, *_ in rows)
    header = ["member", *COLUMNS, *(["n"] if several else [])]
    lines = [header, ["---", *["---:"] * (len(header) - 1)]]
    for row, count, *cells in rows:
        lines.append([row, *map(cell_text, cells), *([str(count)] if several else [])])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def cell_text(cell):
    mean, deviation = cell
    return (number(mean, 1) or "-") + (
        f" ± {number(deviation, 1)}" if deviation is not None else ""
    )


def number(value, digits):
    return "" if value is None else f"{value:.{digits}f}"
