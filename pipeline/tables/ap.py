"""The AP-by-frequency tables: their columns, rows and cells; table_texts.py writes them.

Of the boxes, and of the masks where a method has any; each is two tables, of AP by frequency and of
AP by IoU and size, so that both fit a page.
"""

from dataclasses import dataclass

from pipeline.evaluation.groupings import Grouping
from pipeline.percent import NONE, percent
from pipeline.tables.published import Published

MASKS = "segm/"
DELTA = "delta_"
WHY_NONE = f'"{NONE}": the val images have no object of such a category or size, so there is no AP.'


@dataclass(frozen=True)
class Column:
    key: str
    title: str
    tex: str
    signed: bool = False


@dataclass(frozen=True)
class Table:
    """``rows``: per method the value of each column; a fraction, or None where undefined.

    ``published`` rows stand below, marked; they are never bold.
    """

    columns: tuple[Column, ...]
    rows: dict[str, dict[str, float | None]]
    published: tuple[Published, ...] = ()


@dataclass(frozen=True)
class Cell:
    """``text`` is a percentage with one decimal, or ``NONE``; ``best`` asks for bold."""

    text: str
    value: float | None
    best: bool = False


def difference(value, reference):
    """``value - reference``; None where either is None."""
    return None if value is None or reference is None else value - reference


def box_tables(metrics, baseline: str, grouping: Grouping, published=()) -> list[Table]:
    """AP of the boxes; ``metrics``: method -> what `evaluate` wrote."""
    frequency = make_table(frequency_columns(grouping), metrics, baseline, published)
    return [frequency, make_table(DETAILS, metrics, baseline)]


def mask_tables(metrics, baseline: str, grouping: Grouping, published=()) -> list[Table]:
    """AP of the masks, of the methods that have masks; no table where none has."""
    masks = {
        method: {k.removeprefix(MASKS): v for k, v in values.items() if k.startswith(MASKS)}
        for method, values in metrics.items()
    }
    masks = {method: values for method, values in masks.items() if values}
    return box_tables(masks, baseline, grouping, published) if masks else []


def frequency_columns(grouping) -> tuple[Column, ...]:
    """AP and the groups' APs, each followed by its change against the baseline; then AP-fixed."""
    rarest = grouping.groups[0]
    changes = (
        column
        for g in (Column("AP", "AP", "AP"), *grouping.groups)
        for column in (
            Column(g.key, g.title, g.tex),
            Column(f"{DELTA}{g.key}", f"Δ{g.title}", rf"$\Delta${g.tex}", signed=True),
        )
    )
    return (
        *changes,
        Column("fixed/AP", "AP-fixed", r"AP$^{\mathrm{fixed}}$"),
        Column(f"fixed/{rarest.key}", fixed_title(rarest.title), fixed_tex(rarest.tex)),
    )


DETAILS = (
    Column("AP50", "AP50", "AP$_{50}$"),
    Column("AP75", "AP75", "AP$_{75}$"),
    Column("APs", "APs", "AP$_s$"),
    Column("APm", "APm", "AP$_m$"),
    Column("APl", "APl", "AP$_l$"),
    Column("AR@300", "AR", "AR"),
)


def fixed_title(title) -> str:
    """APr -> APr-fixed; AP [1,20) -> AP-fixed [1,20)."""
    first, space, rest = title.partition(" ")
    return f"{first}-fixed{space}{rest}"


def fixed_tex(tex) -> str:
    """AP$_r$ -> the same with a "fixed" on top."""
    return tex.removesuffix("$") + r"^{\mathrm{fixed}}$"


def make_table(columns, metrics, baseline, published=()) -> Table:
    reference = metrics.get(baseline, {})
    rows = {
        method: {c.key: column_value(c, values, reference) for c in columns}
        for method, values in metrics.items()
    }
    return Table(columns, rows, tuple(published))


def column_value(column, values, reference):
    if not column.signed:
        return values[column.key]
    key = column.key.removeprefix(DELTA)
    return difference(values[key], reference.get(key))


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
