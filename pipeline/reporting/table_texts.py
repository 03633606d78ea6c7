"""The tables as csv (fractions), Markdown and LaTeX."""

import csv
import io

from pipeline.reporting.published import Published
from pipeline.reporting.tables import WHY_NONE, Table, cells, has_gaps, percent

TEX_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        **{c: f"\\{c}" for c in "&%$#_{}"},
    }
)


def to_csv(tables: list[Table]) -> str:
    """All columns of the tables side by side: full-precision fractions, empty where undefined.

    Published rows are left out: they have other columns, and are nothing that was measured.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    keys = [(table, c.key) for table in tables for c in table.columns]
    writer.writerow(["method", *(key.replace("/", "_").replace("@", "") for _, key in keys)])
    for method in tables[0].rows:
        numbers = (table.rows[method][key] for table, key in keys)
        writer.writerow([method, *("" if v is None else repr(float(v)) for v in numbers)])
    return out.getvalue()


def to_markdown(tables: list[Table]) -> str:
    return "\n".join(map(markdown_table, tables))


def markdown_table(table: Table) -> str:
    lines = [
        ["method", *(c.title for c in table.columns)],
        [":---", *("---:" for _ in table.columns)],
        *(
            [escaped(method), *(f"**{c.text}**" if c.best else c.text for c in row)]
            for method, row in cells(table).items()
        ),
        *(
            [f"*published: {escaped(row.method)}* [{number}]", *published_texts(table, row)]
            for number, row in enumerate(table.published, 1)
        ),
    ]
    text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    notes = [f"[{n}] {row.footnote}  " for n, row in enumerate(table.published, 1)]
    notes = [WHY_NONE, *notes] if has_gaps(table) else notes
    return f"{text}\n" + "\n".join(notes) + "\n" if notes else text


def escaped(name) -> str:
    return name.replace("|", r"\|")


def published_texts(table, row: Published) -> list[str]:
    """What the source states; a dash elsewhere, also for deltas: the settings differ."""
    return [percent(row.values[c.key]) if c.key in row.values else "–" for c in table.columns]


def to_tex(tables: list[Table]) -> str:
    return "\n".join(map(tex_table, tables))


def tex_table(table: Table) -> str:
    """A booktabs tabular; names are escaped."""
    body = "".join(
        f"{' & '.join([tex(method), *map(tex_cell, row, table.columns)])} \\\\\n"
        for method, row in cells(table).items()
    )
    if table.published:
        rows = (
            [f"{tex(row.method)} (published)", *published_texts(table, row)]
            for row in table.published
        )
        sources = "".join(f"% {row.footnote}\n" for row in table.published)
        body += f"\\midrule\n{sources}" + "".join(
            f"{' & '.join(row).replace('–', '--')} \\\\\n" for row in rows
        )
    why = f"% {WHY_NONE}\n" if has_gaps(table) else ""
    return (
        f"% \\usepackage{{booktabs}}; percent, best in bold\n{why}"
        f"\\begin{{tabular}}{{l{'r' * len(table.columns)}}}\n\\toprule\n"
        f"Method & {' & '.join(c.tex for c in table.columns)} \\\\\n\\midrule\n"
        f"{body}\\bottomrule\n\\end{{tabular}}\n"
    )


def tex(name) -> str:
    return name.translate(TEX_ESCAPES)


def tex_cell(cell, column) -> str:
    if cell.best:
        return rf"\textbf{{{cell.text}}}"
    return f"${cell.text}$" if column.signed and cell.value is not None else cell.text
