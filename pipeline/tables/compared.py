"""The comparison as lines of cells: the rows, and their differences to one of them."""

from dataclasses import dataclass

from pipeline.evaluation.groupings import GROUPINGS
from pipeline.percent import percent
from pipeline.tables.ap import MASKS, Cell, Column, fixed_tex, fixed_title
from pipeline.tables.intervals import Interval, Summary
from pipeline.tables.rows import Row
from pipeline.tables.texts import escaped_tex

ABSENT = "–"
FIXED = "fixed/"


@dataclass(frozen=True)
class Table:
    """``labels``: the params that tell the rows apart."""

    rows: list[Row]
    labels: list[str]
    columns: tuple[Column, ...]
    baseline: Row

    @property
    def others(self) -> list[Row]:
        return [row for row in self.rows if row is not self.baseline]

    @property
    def several_seeds(self) -> bool:
        return any(len(row.runs) > 1 for row in self.rows)

    @property
    def has_intervals(self) -> bool:
        pairs = [(row, column.key) for row in self.others for column in self.columns]
        return any(row.difference(self.baseline, key)[1] for row, key in pairs)

    @property
    def has_gaps(self) -> bool:
        cells = [(row, c.key) for row in self.rows for c in self.columns]
        return any(row.has(key) and row.summary(key).mean is None for row, key in cells)

    @property
    def head(self) -> list[str]:
        """Of ``lines``, before the metrics."""
        return ["method", *self.labels, *(["n"] if self.several_seeds else [])]

    def lines(self) -> list[list[Cell]]:
        """Of each row what it is, the number of seeds if one has several, and the metrics."""
        return [
            [*self.about(row), *(self.value(row, c) for c in self.columns)] for row in self.rows
        ]

    def about(self, row) -> list[Cell]:
        texts = [row.label, *(row.settings.get(key, ABSENT) for key in self.labels)]
        return [Cell(text, None) for text in texts + [str(len(row.runs))] * self.several_seeds]

    def value(self, row, column) -> Cell:
        summary = row.summary(column.key)
        if not row.has(column.key):
            return Cell(ABSENT, None)
        return Cell(summary_text(summary), summary.mean, self.is_best(summary.mean, column))

    def is_best(self, mean, column) -> bool:
        """Best is what prints as the largest, so ties are all bold."""
        if mean is None or len(self.rows) == 1:
            return False
        means = [row.summary(column.key).mean for row in self.rows]
        return percent(mean) == percent(max(m for m in means if m is not None))

    def differences(self) -> list[list[Cell]]:
        """Of each row but the baseline its title, and of each metric the difference."""
        return [
            [Cell(row.title, None), *(self.difference(row, column) for column in self.columns)]
            for row in self.others
        ]

    def difference(self, row, column) -> Cell:
        value, interval = row.difference(self.baseline, column.key)
        return Cell(difference_text(value, interval), value)


def summary_text(summary: Summary) -> str:
    """ "45.6 ± 0.7"."""
    deviation = "" if summary.sd is None else f" ± {percent(summary.sd)}"
    return percent(summary.mean) + deviation


def difference_text(value: float | None, interval: Interval | None) -> str:
    """ "+3.5 [+1.2, +5.8]*"; the star where the interval excludes 0."""
    if value is None:
        return ABSENT
    return percent(value, signed=True) + (f" {interval_text(interval)}" if interval else "")


def interval_text(interval: Interval) -> str:
    ends = ", ".join(percent(end, signed=True) for end in (interval.low, interval.high))
    return f"[{ends}]{'*' if interval.excludes_zero else ''}"


def default_metrics(rows: list[Row], grouping: str) -> list[str]:
    """AP over all and by group, and AP-fixed; of the masks too, where a row has any."""
    groups = [group.key for group in GROUPINGS[grouping].groups]
    wanted = ["AP", *groups, "AP50", "AP75", "fixed/AP", f"fixed/{groups[0]}"]
    masks = [f"{MASKS}{key}" for key in ("AP", *groups)]
    known = known_metrics(rows)
    return [key for key in wanted + masks if key in known]


def known_metrics(rows: list[Row]) -> list[str]:
    found = (key for row in rows for _, result in row.runs.values() for key in result.metrics)
    return list(dict.fromkeys(found))


def make_columns(metrics: list[str], rows: list[Row]) -> tuple[Column, ...]:
    known = known_metrics(rows)
    for key in metrics:
        if key not in known:
            raise ValueError(f"no row has the metric {key!r}; there are: {', '.join(known)}")
    return tuple(map(make_column, metrics))


def make_column(key: str) -> Column:
    """``segm/fixed/APr`` is headed "mask APr-fixed"."""
    if key.startswith(MASKS):
        inner = make_column(key.removeprefix(MASKS))
        return Column(key, f"mask {inner.title}", f"mask {inner.tex}")
    if key.startswith(FIXED):
        inner = make_column(key.removeprefix(FIXED))
        closed = inner.tex if inner.tex.endswith("$") else f"{inner.tex}$$"
        return Column(key, fixed_title(inner.title), fixed_tex(closed))
    groups = {group.key: group for grouping in GROUPINGS.values() for group in grouping.groups}
    if key in groups:
        return Column(key, groups[key].title, groups[key].tex)
    name, number = key[:2], key[2:]
    tex = f"{name}$_{{{number}}}$" if number.isdigit() else escaped_tex(key)
    return Column(key, key, tex)
