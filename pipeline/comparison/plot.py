"""AP of each row: a dot a seed, the mean, and how far it may lie from the baseline's."""

from matplotlib.figure import Figure

from pipeline.pages.style import BASELINE_COLOUR, COLOURS, FULL_WIDTH, SHADE, literal, styled
from pipeline.tables.compared import Table

LONGEST = 34


@styled
def draw_rows(table: Table, columns) -> Figure:
    """A panel a column; the dashed line is the baseline's mean."""
    height = 0.9 + 0.26 * len(table.rows)
    figure = Figure(figsize=(FULL_WIDTH, height), layout="constrained")
    panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    for axes, column in zip(panels, columns, strict=True):
        draw_panel(axes, table, column)
    panels[0].set_yticks(range(len(table.rows)), [short(row.title) for row in table.rows])
    panels[0].set_ylim(len(table.rows) - 0.5, -0.5)
    return figure


def draw_panel(axes, table, column):
    base = table.baseline.summary(column.key).mean
    if base is not None:
        axes.axvline(100 * base, c=SHADE, lw=0.8, ls=(0, (3, 3)))
    for place, row in enumerate(table.rows):
        draw_row(axes, row, column.key, place, table.baseline)
    axes.set_title(column.title)
    axes.set_xlabel("%")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    axes.margins(x=0.08)


def draw_row(axes, row, key, place, baseline):
    mean = row.summary(key).mean
    if mean is None:
        return axes.text(0.5, place, "none", transform=axes.get_yaxis_transform(), ha="center")
    colour = BASELINE_COLOUR if row is baseline else COLOURS[0]
    interval = row.difference(baseline, key)[1] if row is not baseline else None
    if interval:
        reference = baseline.summary(key).mean
        ends = [100 * (reference + end) for end in (interval.low, interval.high)]
        axes.plot(ends, [place] * 2, c=colour, lw=2, alpha=0.4)
    values = [100 * value for value in row.values(key) if value is not None]
    if len(values) > 1:
        axes.scatter(values, [place] * len(values), s=9, c=colour, alpha=0.7, linewidths=0)
    axes.scatter([100 * mean], [place], s=30, c=colour, marker="D", linewidths=0, zorder=3)


def short(title: str) -> str:
    return literal(title if len(title) <= LONGEST else f"{title[: LONGEST - 1]}…")
