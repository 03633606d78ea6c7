"""The comparison as one self-contained HTML page, in the look of the report."""

from pipeline.comparison.formats import INTERVALS, notes
from pipeline.comparison.grouping import differing
from pipeline.comparison.plot import draw_rows
from pipeline.comparison.table import Table
from pipeline.evaluation.groupings import GROUPINGS
from pipeline.reporting.page import minus, render_template
from pipeline.reporting.style import for_page, to_svg
from pipeline.reporting.tables import percent


def render(name: str, table: Table, grouping: str) -> str:
    columns = headline(table, grouping)
    return render_template(
        "comparison.html.j2",
        name=name,
        data=first_run(table).params.data.name,
        runs=len({id(run) for row in table.rows for run, _ in row.runs.values()}),
        table=table,
        lines=table.lines(),
        differences=difference_rows(table),
        sentence=sentence(table, columns),
        notes=notes(table),
        intervals=INTERVALS if table.has_intervals else "",
        rule=GROUPINGS[grouping].rule,
        plot=for_page(to_svg(draw_rows(table, columns), name), "rows", "AP of each row"),
        any_own_interval=any(row.interval(c.key) for row in table.rows for c in columns),
        shared=shared_settings(table),
        own=own_settings(table),
        origins=origins(table),
    )


def first_run(table):
    return next(iter(table.rows[0].runs.values()))[0]


def headline(table, grouping):
    """AP and the groups' APs; whatever there is, where none of them was asked for."""
    keys = ["AP", *(group.key for group in GROUPINGS[grouping].groups)]
    return [column for column in table.columns if column.key in keys] or table.columns[:4]


def sentence(table, columns) -> str:
    """Which row is best in what."""
    parts = []
    for column in columns:
        known = [row for row in table.rows if row.summary(column.key).mean is not None]
        best = max(known, key=lambda row: row.summary(column.key).mean, default=None)
        if best:
            value = percent(best.summary(column.key).mean)
            parts.append(f"{column.title} {value} ({best.title})")
    return f"Highest {', '.join(parts)}." if parts else "No AP is defined."


def difference_rows(table) -> list[dict]:
    return [
        {"title": row.title, "cells": [difference_cell(table, row, c.key) for c in table.columns]}
        for row in table.others
    ]


def difference_cell(table, row, key) -> dict:
    """``sure``: the interval excludes 0."""
    value, interval = row.difference(table.baseline, key)
    ends = interval and [minus(percent(end, signed=True)) for end in (interval.low, interval.high)]
    return {"value": value, "ends": ends, "sure": bool(interval and interval.excludes_zero)}


def shared_settings(table) -> dict[str, str]:
    """The params that all rows have in common."""
    settings = [row.settings for row in table.rows]
    different = set(differing(settings))
    return {key: value for key, value in settings[0].items() if key not in different}


def own_settings(table) -> list[dict]:
    """Of each row the params that not all rows have, beyond its labels."""
    shared = shared_settings(table)
    return [
        {"title": row.title, "settings": {k: v for k, v in row.settings.items() if k not in shared}}
        for row in table.rows
    ]


def origins(table) -> list[dict]:
    return [
        {"title": row.title, "seed": seed, "run": run.name, "place": run.place}
        for row in table.rows
        for seed, (run, _) in row.runs.items()
    ]
