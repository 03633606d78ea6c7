"""The comparison's files: csv, Markdown and LaTeX, in percent."""

import csv
import io
import re

from pipeline.percent import in_percent
from pipeline.tables.ap import WHY_NONE, Cell
from pipeline.tables.compared import Table
from pipeline.tables.texts import ROUNDING, UNIT, escaped_markdown, escaped_tex

DEVIATIONS = "Mean ± sample standard deviation over n training seeds."
INTERVALS = (
    "In brackets the 95 % interval of a paired bootstrap over the val images, * where it excludes "
    "0. It does not cover the choice of the training seeds."
)
TEX_SIGNS = {"±": r"$\pm$", "–": "--", "*": "$^*$"}


def notes(table: Table) -> list[str]:
    return [DEVIATIONS] * table.several_seeds + [WHY_NONE] * table.has_gaps


def to_csv(table: Table) -> str:
    """Unrounded percent; empty where undefined. ``_delta`` is the difference to the
    baseline, ``_low`` and ``_high`` the ends of its interval."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    parts = ("", "_sd", "_delta", "_low", "_high")
    names = [f"{c.key.replace('/', '_')}{part}" for c in table.columns for part in parts]
    writer.writerow(["row", "method", *table.labels, "n", "seeds", *names])
    for row in table.rows:
        seeds = " ".join(str(seed) for seed in row.runs if seed is not None)
        about = [row.title, row.method, *(row.settings.get(key, "") for key in table.labels)]
        values = [number for column in table.columns for number in numbers(table, row, column.key)]
        writer.writerow([*about, len(row.runs), seeds, *map(in_percent, values)])
    return out.getvalue()


def numbers(table, row, key):
    summary = row.summary(key)
    if row is table.baseline:
        return summary.mean, summary.sd, None, None, None
    value, interval = row.difference(table.baseline, key)
    ends = (interval.low, interval.high) if interval else (None, None)
    return summary.mean, summary.sd, value, *ends


def to_markdown(table: Table) -> str:
    """The rows, and below them their differences to the baseline."""
    titles = [column.title for column in table.columns]
    text = markdown([*table.head, *titles], table.lines(), 1 + len(table.labels))
    text += paragraph([UNIT, *notes(table)])
    if table.others:
        text += "\n" + markdown([f"minus {table.baseline.title}", *titles], table.differences(), 1)
        text += paragraph([ROUNDING] + [INTERVALS] * table.has_intervals)
    return text


def paragraph(sentences) -> str:
    return f"\n{' '.join(sentences)}\n"


def markdown(head, lines, texts: int) -> str:
    """The first ``texts`` columns stand on the left."""
    rules = [":---" if i < texts else "---:" for i in range(len(head))]
    body = [[f"**{escaped(c)}**" if c.best else escaped(c) for c in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in ([*map(escaped, head)], rules, *body))


def escaped(cell: Cell | str) -> str:
    return escaped_markdown(cell if isinstance(cell, str) else cell.text)


def to_tex(table: Table) -> str:
    """Two booktabs tabulars: the rows, and their differences to the baseline."""
    tex = [column.tex for column in table.columns]
    text = "% \\usepackage{booktabs}; percent, best in bold\n"
    text += "".join(f"% {note}\n" for note in notes(table))
    text += tabular([*map(tex_text, table.head), *tex], table.lines(), 1 + len(table.labels))
    if table.others:
        sentences = [ROUNDING] + [INTERVALS] * table.has_intervals
        text += "\n" + "".join(f"% {sentence}\n" for sentence in sentences)
        head = [tex_text(f"minus {table.baseline.title}"), *tex]
        text += tabular(head, table.differences(), 1)
    return text


def tabular(head, lines, texts: int) -> str:
    body = "".join(f"{' & '.join(map(tex_cell, line))} \\\\\n" for line in lines)
    return (
        f"\\begin{{tabular}}{{{'l' * texts}{'r' * (len(head) - texts)}}}\n\\toprule\n"
        f"{' & '.join(head)} \\\\\n\\midrule\n{body}\\bottomrule\n\\end{{tabular}}\n"
    )


def tex_cell(cell: Cell) -> str:
    return rf"\textbf{{{tex_text(cell.text)}}}" if cell.best else tex_text(cell.text)


def tex_text(text: str) -> str:
    """Escaped, with the signs of numbers in mathematics."""
    text = escaped_tex(text)
    for sign, tex in TEX_SIGNS.items():
        text = text.replace(sign, tex)
    return re.sub(r"(?<![\w.])([+-])(?=\d)", r"$\1$", text)


KINDS = {"csv": to_csv, "md": to_markdown, "tex": to_tex}
