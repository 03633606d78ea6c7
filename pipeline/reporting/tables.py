"""The AP-by-frequency tables as csv (fractions), Markdown, LaTeX and cells for the HTML page.

One of the boxes, and one of the masks where a method has any.
"""

import csv
import io
from dataclasses import dataclass

from pipeline.evaluation.groupings import Grouping

MASKS = "segm/"
NONE = "none"
WHY_NONE = f'"{NONE}": no such category has an object in the val images, so there is no AP.'
TEX_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        **{c: f"\\{c}" for c in "&%$#_{}"},
    }
)


@dataclass(frozen=True)
class Column:
    key: str
    title: str
    tex: str
    signed: bool = False


@dataclass(frozen=True)
class Table:
    """``rows``: per method the value of each column; a fraction, or None where undefined."""

    columns: tuple[Column, ...]
    rows: dict[str, dict[str, float | None]]


@dataclass(frozen=True)
class Cell:
    """``text`` is a percentage with one decimal, or ``NONE``; ``best`` asks for bold."""

    text: str
    value: float | None
    best: bool = False


def percent(value, signed=False) -> str:
    """0.2849 -> "28.5"; signed: "+28.5"; None -> "none"."""
    if value is None:
        return NONE
    text = f"{100 * value:+.1f}" if signed else f"{100 * value:.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text


def difference(value, reference):
    """``value - reference``; None where either is None."""
    return None if value is None or reference is None else value - reference


def box_table(metrics: dict[str, dict], baseline: str, grouping: Grouping) -> Table:
    """AP of the boxes: as it is, by group, against the baseline, and AP-fixed."""
    rarest = grouping.groups[0]
    columns = (
        *ap_columns(grouping),
        Column("fixed/AP", "AP-fixed", r"AP$^{\mathrm{fixed}}$"),
        Column(f"fixed/{rarest.key}", fixed_title(rarest.title), fixed_tex(rarest.tex)),
    )
    return make_table(columns, metrics, baseline)


def mask_table(metrics: dict[str, dict], baseline: str, grouping: Grouping) -> Table | None:
    """AP of the masks, of the methods that have masks; None where none has."""
    masks = {
        method: {k.removeprefix(MASKS): v for k, v in values.items() if k.startswith(MASKS)}
        for method, values in metrics.items()
    }
    masks = {method: values for method, values in masks.items() if values}
    return make_table(ap_columns(grouping), masks, baseline) if masks else None


def ap_columns(grouping) -> tuple[Column, ...]:
    return (
        Column("AP", "AP", "AP"),
        Column("AP50", "AP50", "AP$_{50}$"),
        Column("AP75", "AP75", "AP$_{75}$"),
        *(Column(g.key, g.title, g.tex) for g in grouping.groups),
        Column("delta_AP", "ΔAP", r"$\Delta$AP", signed=True),
    )


def fixed_title(title) -> str:
    """APr -> APr-fixed; AP [1,20) -> AP-fixed [1,20)."""
    first, space, rest = title.partition(" ")
    return f"{first}-fixed{space}{rest}"


def fixed_tex(tex) -> str:
    """AP$_r$ -> the same with a "fixed" on top."""
    return tex.removesuffix("$") + r"^{\mathrm{fixed}}$"


def make_table(columns, metrics, baseline) -> Table:
    reference = metrics.get(baseline, {}).get("AP")
    rows = {
        method: {
            c.key: difference(values["AP"], reference) if c.signed else values[c.key]
            for c in columns
        }
        for method, values in metrics.items()
    }
    return Table(columns, rows)


def cells(table: Table) -> dict[str, list[Cell]]:
    """Per method one cell a column. Best is what prints as the largest, so ties are all bold."""
    return {
        method: [cell(table, column, values[column.key]) for column in table.columns]
        for method, values in table.rows.items()
    }


def cell(table, column, value) -> Cell:
    return Cell(percent(value, column.signed), value, is_best(table, column, value))


def is_best(table, column, value) -> bool:
    if column.signed or value is None or len(table.rows) == 1:
        return False
    largest = max(v[column.key] for v in table.rows.values() if v[column.key] is not None)
    return percent(value) == percent(largest)


def has_gaps(table: Table) -> bool:
    """Whether any AP is ``NONE``."""
    keys = [c.key for c in table.columns if not c.signed]
    return any(values[key] is None for values in table.rows.values() for key in keys)


def to_csv(table: Table) -> str:
    """Full-precision fractions; an empty field where undefined."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["method", *(c.key.replace("/", "_") for c in table.columns)])
    for method, values in table.rows.items():
        numbers = (values[c.key] for c in table.columns)
        writer.writerow([method, *("" if v is None else repr(float(v)) for v in numbers)])
    return out.getvalue()


def to_markdown(table: Table) -> str:
    lines = [
        ["method", *(c.title for c in table.columns)],
        [":---", *("---:" for _ in table.columns)],
        *(
            [method.replace("|", r"\|"), *(f"**{c.text}**" if c.best else c.text for c in row)]
            for method, row in cells(table).items()
        ),
    ]
    text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return f"{text}\n{WHY_NONE}\n" if has_gaps(table) else text


def to_tex(table: Table) -> str:
    """A booktabs tabular; names are escaped."""
    body = "".join(
        f"{' & '.join([method.translate(TEX_ESCAPES), *map(tex_cell, row, table.columns)])} \\\\\n"
        for method, row in cells(table).items()
    )
    why = f"% {WHY_NONE}\n" if has_gaps(table) else ""
    return (
        f"% \\usepackage{{booktabs}}; percent, best in bold\n{why}"
        f"\\begin{{tabular}}{{l{'r' * len(table.columns)}}}\n\\toprule\n"
        f"Method & {' & '.join(c.tex for c in table.columns)} \\\\\n\\midrule\n"
        f"{body}\\bottomrule\n\\end{{tabular}}\n"
    )


def tex_cell(cell, column) -> str:
    if cell.best:
        return rf"\textbf{{{cell.text}}}"
    return f"${cell.text}$" if column.signed and cell.value is not None else cell.text
