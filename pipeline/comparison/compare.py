"""Finished runs -> one comparison: its table, files and page."""

from pathlib import Path

from pipeline.comparison.selection import check_same_data, select
from pipeline.files import atomic_folder
from pipeline.tables.compared import Table, default_metrics, make_columns
from pipeline.tables.formats import KINDS, to_markdown
from pipeline.tables.rows import Name, find_row, label_keys, make_rows

REPORTS = Path("reports", "comparisons")


def compare(
    runs,
    name,
    names: dict[str, Name] | None = None,
    methods=(),
    metrics=(),
    where=None,
    baseline="",
) -> str:
    """Write reports/comparisons/<name>/ anew; returns the Markdown table.

    ``names``: of runs, by a grid; ``methods`` and ``where`` (key -> value) choose, ``metrics`` are
    the columns, ``baseline`` names a row (left out: the first). ``ValueError`` where nothing is
    left, or the runs are on different data.
    """
    pairs = select(runs, methods, where)
    check_same_data(pairs)
    rows = make_rows(pairs, names or {})
    grouping = pairs[0][0].params.report.grouping
    columns = make_columns(list(metrics) or default_metrics(rows, grouping), rows)
    table = Table(
        rows, label_keys(rows), columns, find_row(rows, baseline) if baseline else rows[0]
    )
    write(REPORTS / name, name, table, grouping)
    return to_markdown(table)


def write(folder, name, table, grouping):
    from pipeline.comparison.compared_page import render

    texts = {f"table.{kind}": text_of(table) for kind, text_of in KINDS.items()}
    texts["index.html"] = render(name, table, grouping)
    with atomic_folder(folder) as temporary:
        for file, text in texts.items():
            (temporary / file).write_text(text, encoding="utf-8")
