"""What a run ends with on the terminal: the methods' AP, and where to look further."""

import shutil
from pathlib import Path

from pipeline.files import read_json
from pipeline.params import Params
from pipeline.percent import percent
from pipeline.tables.ap import MASKS, difference
from pipeline.tables.one_line import UNKNOWN, text, titles


def ending(params: Params, root: Path, project: Path, look: list[str], experiment="") -> str:
    """The tables of AP, and the places: of the report, and ``look``, the lines about MLflow.

    ``root`` is the folder of the run: ``project``, or DVC's temporary copy of it, which is gone
    when the DVC ``experiment`` of that name is made.
    """
    metrics = {method: read_metrics(root, method) for method in params.report.methods}
    about = f"AP in percent on {params.data.name}, seed {params.seed}"
    parts = [table(params, metrics, f"Box {about}", "")]
    if any(key.startswith(MASKS) for values in metrics.values() for key in values):
        parts.append(table(params, metrics, f"Mask {about}", MASKS))
    places = [("report", report_places(root, project, experiment)), ("MLflow", look)]
    parts.append("\n".join(line for name, lines in places for line in labelled(name, lines)))
    return "\n\n".join(parts)


def read_metrics(root, method) -> dict:
    """{} where `evaluate` has not written them, or not whole: the others are shown all the same."""
    try:
        found = read_json(root / "reports" / "metrics" / f"{method}.json")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def table(params, metrics, title, kind) -> str:
    """A line a method; on a terminal that is too narrow for that, a line a number."""
    columns = [(f"{kind}{key}", title) for key, title in titles(params.report.grouping).items()]
    baseline = params.report.baseline
    head = ["", *(title for _, title in columns), f"AP against {baseline}"]
    rows = [
        [
            method,
            *(text(values, key) for key, _ in columns),
            change(metrics, method, baseline, kind),
        ]
        for method, values in metrics.items()
    ]
    if len(rows) == 1:
        head, rows = head[:-1], [row[:-1] for row in rows]
    lines = aligned([head, *rows])
    if max(map(len, lines)) > shutil.get_terminal_size().columns:
        lines = stacked(head, rows)
    return "\n".join([f"{title}:", *lines])


def change(metrics, method, baseline, kind) -> str:
    if method == baseline:
        return ""
    own, base = (metrics[name].get(f"{kind}AP") for name in (method, baseline))
    found = difference(own, base)
    return UNKNOWN if found is None else percent(found, signed=True)


def aligned(rows) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]).rstrip()
        for row in rows
    ]


def stacked(head, rows) -> list[str]:
    lines = []
    for method, *cells in rows:
        shown = [(title, cell) for title, cell in zip(head[1:], cells, strict=True) if cell]
        lines += [method, *(f"  {title} {cell}" for title, cell in shown)]
    return lines


def report_places(root, project, experiment) -> list[str]:
    page = root / "reports" / "index.html"
    if root != project:
        return [f"`dvc exp apply {experiment}` in {project} brings it to reports/index.html"]
    return [str(page), page.as_uri()] if page.is_file() else ["none yet: `dvc repro report`"]


def labelled(name, lines) -> list[str]:
    return [f"{'' if number else name:8}{line}" for number, line in enumerate(lines)]
