"""The tables as csv, Markdown and LaTeX, in percent."""

import csv
import io
import re

from pipeline.percent import in_percent, percent
from pipeline.tables.ap import WHY_NONE, Table, cells, has_gaps
from pipeline.tables.published import Published

UNIT = "In percent."
ROUNDING = "Differences are taken before rounding."

TEX_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        **{c: f"\\{c}" for c in "&%$#_{}"},
    }
)
# what formats a cell; "_" does so at the edge of a word only
MARKDOWN_MARKS = re.compile(r"[\\`*|<~$]|(?<![^\W_])_|_(?![^\W_])")


def escaped_markdown(text: str) -> str:
    """As the text of a table's cell, which shows it letter by letter."""
    return MARKDOWN_MARKS.sub(r"\\\g<0>", text)


def escaped_tex(text: str) -> str:
    """As LaTeX text; two hyphens stay two."""
    return re.sub("-(?=-)", "-{}", text.translate(TEX_ESCAPES))


def to_csv(tables: list[Table]) -> str:
    """All columns of the tables side by side: unrounded percent, empty where undefined.

    Published rows are left out: they have other columns, and are nothing that was measured.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    keys = [(table, c.key) for table in tables for c in table.columns]
    writer.writerow(["method", *(key.replace("/", "_").replace("@", "") for _, key in keys)])
    for method in tables[0].rows:
        writer.writerow([method, *(in_percent(table.rows[method][key]) for table, key in keys)])
    return out.getvalue()


def to_markdown(tables: list[Table]) -> str:
    return "\n".join(map(markdown_table, tables))


def markdown_table(table: Table) -> str:
    lines = [
        ["method", *(c.title for c in table.columns)],
        [":---", *("---:" for _ in table.columns)],
        *(
            [escaped_markdown(method), *(f"**{c.text}**" if c.best else c.text for c in row)]
            for method, row in cells(table).items()
        ),
        *(
            [f"*published: {escaped_markdown(row.method)}* [{n}]", *published_texts(table, row)]
            for n, row in enumerate(table.published, 1)
        ),
    ]
    text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    below = [f"[{n}] {escaped_markdown(r.footnote)}" for n, r in enumerate(table.published, 1)]
    below = [" ".join([UNIT, *notes(table)]), *below]
    return f"{text}\n" + "".join(f"{line}  \n" for line in below)


def notes(table) -> list[str]:
    compares = len(table.rows) > 1 and any(column.signed for column in table.columns)
    return [ROUNDING] * compares + [WHY_NONE] * has_gaps(table)


def published_texts(table, row: Published) -> list[str]:
    """What the source states; a dash elsewhere, also for deltas: the settings differ."""
    return [percent(row.values[c.key]) if c.key in row.values else "–" for c in table.columns]


def to_tex(tables: list[Table]) -> str:
    return "\n".join(map(tex_table, tables))


def tex_table(table: Table) -> str:
    """A booktabs tabular, and the sources of its published rows as a paragraph below."""
    rows = [
        [escaped_tex(method), *map(tex_cell, row, table.columns)]
        for method, row in cells(table).items()
    ]
    comments = "".join(f"% {note}\n" for note in notes(table))
    return (
        f"% \\usepackage{{booktabs}}; percent, best in bold\n{comments}"
        f"\\begin{{tabular}}{{l{'r' * len(table.columns)}}}\n\\toprule\n"
        f"Method & {' & '.join(c.tex for c in table.columns)} \\\\\n\\midrule\n"
        f"{tex_lines(rows)}{tex_published(table)}\\bottomrule\n\\end{{tabular}}\n"
        f"{tex_sources(table.published)}"
    )


def tex_lines(rows) -> str:
    return "".join(f"{' & '.join(row)} \\\\\n" for row in rows)


def tex_cell(cell, column) -> str:
    if cell.best:
        return rf"\textbf{{{cell.text}}}"
    return f"${cell.text}$" if column.signed and cell.value is not None else cell.text


def tex_published(table) -> str:
    rows = [
        [f"{escaped_tex(row.method)} (published){tex_mark(number)}", *published_texts(table, row)]
        for number, row in enumerate(table.published, 1)
    ]
    return "\\midrule\n" + tex_lines(rows).replace("–", "--") if rows else ""


def tex_sources(published) -> str:
    notes = [f"{tex_mark(n)} {escaped_tex(row.footnote)}" for n, row in enumerate(published, 1)]
    lines = "\\\\\n".join(notes)
    return f"\n\\smallskip{{\\footnotesize\\raggedright\n{lines}\\par}}\n" if notes else ""


def tex_mark(number) -> str:
    return rf"\textsuperscript{{{number}}}"
