"""The AP-by-frequency table as csv (fractions), Markdown, LaTeX and cells for the HTML page."""

import csv
import io
from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    key: str
    title: str
    tex: str
    signed: bool = False


COLUMNS = (
    Column("AP", "AP", "AP"),
    Column("AP50", "AP50", "AP$_{50}$"),
    Column("AP75", "AP75", "AP$_{75}$"),
    Column("APr", "APr", "AP$_r$"),
    Column("APc", "APc", "AP$_c$"),
    Column("APf", "APf", "AP$_f$"),
    Column("delta_AP", "ΔAP", r"$\Delta$AP", signed=True),
    Column("fixed/AP", "AP-fixed", r"AP$^{\mathrm{fixed}}$"),
    Column("fixed/APr", "APr-fixed", r"AP$_r^{\mathrm{fixed}}$"),
)
TEX_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        **{c: f"\\{c}" for c in "&%$#_{}"},
    }
)


@dataclass(frozen=True)
class Cell:
    """``text`` is a percentage with one decimal, or "none"; ``best`` asks for bold."""

    text: str
    value: float | None
    best: bool = False


def percent(value, signed=False) -> str:
    """0.2849 -> "28.5"; signed: "+28.5"; None -> "none"."""
    if value is None:
        return "none"
    text = f"{100 * value:+.1f}" if signed else f"{100 * value:.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text


def difference(value, reference):
    """``value - reference``; None where either is None."""
    return None if value is None or reference is None else value - reference


def rows(metrics: dict[str, dict], baseline: str) -> dict[str, dict]:
    """Per method the values of ``COLUMNS``; fractions, None where the data has no such category."""
    reference = metrics[baseline]["AP"]
    return {
        method: {
            c.key: difference(values["AP"], reference) if c.signed else values[c.key]
            for c in COLUMNS
        }
        for method, values in metrics.items()
    }


def cells(table: dict[str, dict]) -> dict[str, list[Cell]]:
    """Per method one cell a column. Best is what prints as the largest, so ties are all bold."""
    return {
        method: [cell(table, column, values[column.key]) for column in COLUMNS]
        for method, values in table.items()
    }


def cell(table, column, value) -> Cell:
    return Cell(percent(value, column.signed), value, is_best(table, column, value))


def is_best(table, column, value) -> bool:
    if column.signed or value is None or len(table) == 1:
        return False
    largest = max(v[column.key] for v in table.values() if v[column.key] is not None)
    return percent(value) == percent(largest)


def to_csv(table) -> str:
    """Full-precision fractions; an empty field where undefined."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["method", *(c.key.replace("/", "_") for c in COLUMNS)])
    for method, values in table.items():
        numbers = (values[c.key] for c in COLUMNS)
        writer.writerow([method, *("" if v is None else repr(float(v)) for v in numbers)])
    return out.getvalue()


def to_markdown(table) -> str:
    lines = [
        ["method", *(c.title for c in COLUMNS)],
        [":---", *("---:" for _ in COLUMNS)],
        *(
            [method.replace("|", r"\|"), *(f"**{c.text}**" if c.best else c.text for c in row)]
            for method, row in cells(table).items()
        ),
    ]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def to_tex(table) -> str:
    """A booktabs tabular; names are escaped."""
    body = "".join(
        f"{' & '.join([method.translate(TEX_ESCAPES), *map(tex_cell, row, COLUMNS)])} \\\\\n"
        for method, row in cells(table).items()
    )
    return (
        "% \\usepackage{booktabs}; percent, best in bold\n"
        f"\\begin{{tabular}}{{l{'r' * len(COLUMNS)}}}\n\\toprule\n"
        f"Method & {' & '.join(c.tex for c in COLUMNS)} \\\\\n\\midrule\n"
        f"{body}\\bottomrule\n\\end{{tabular}}\n"
    )


def tex_cell(cell, column) -> str:
    if cell.best:
        return rf"\textbf{{{cell.text}}}"
    return f"${cell.text}$" if column.signed and cell.value is not None else cell.text
