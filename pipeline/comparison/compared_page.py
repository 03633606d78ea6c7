"""The comparison as one self-contained HTML page, in the look of the report."""

from pathlib import Path

from pipeline.comparison.plot import draw_rows
from pipeline.evaluation.groupings import GROUPINGS
from pipeline.pages.style import for_page, to_svg
from pipeline.pages.template import MINUS, render_template
from pipeline.percent import percent
from pipeline.tables.compared import Table, interval_text
from pipeline.tables.formats import INTERVALS, notes
from pipeline.tables.rows import differing
from pipeline.tables.texts import ROUNDING


def render(name: str, table: Table, grouping: str) -> str:
    columns = headline(table, grouping)
    return render_template(
        Path(__file__).with_suffix(".html.j2"),
        name=name,
        data=first_run(table).params.data.name,
        runs=len({id(run) for row in table.rows for run, _ in row.runs.values()}),
        table=table,
        lines=table.lines(),
        differences=difference_rows(table),
        sentence=sentence(table, columns),
        notes=notes(table),
        rounding=ROUNDING,
        intervals=INTERVALS if table.has_intervals else "",
        rule=GROUPINGS[grouping].rule,
        plot=for_page(to_svg(draw_rows(table, columns), name), "rows", "AP of each row"),
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
    """Which row is highest in what, as far as it is sure: with an interval, if that excludes 0."""
    best = {}
    for column in columns:
        known = [row for row in table.rows if row.summary(column.key).mean is not None]
        known.sort(key=lambda row: row.summary(column.key).mean, reverse=True)
        if known[1:] and all(is_above(known[0], row, column.key) for row in known[1:]):
            value = percent(known[0].summary(column.key).mean)
            best.setdefault(known[0].title, []).append(f"{column.title} {value}")
    said = [f"{title} is highest in {', '.join(parts)}" for title, parts in best.items()]
    alone = "There is one row, and nothing to compare it with."
    nothing = "No row is surely above all others." if table.others else alone
    return f"{'; '.join(said)}." if said else nothing


def is_above(first, second, key) -> bool:
    difference, interval = first.difference(second, key)
    return difference > 0 and (interval is None or interval.excludes_zero)


def difference_rows(table) -> list[dict]:
    return [
        {"title": row.title, "cells": [difference_cell(table, row, c.key) for c in table.columns]}
        for row in table.others
    ]


def difference_cell(table, row, key) -> dict:
    value, interval = row.difference(table.baseline, key)
    return {
        "value": value,
        "interval": interval_text(interval).replace("-", MINUS) if interval else "",
        "unsure": bool(interval and not interval.excludes_zero),
    }


def shared_settings(table) -> dict[str, str]:
    """The params that all rows have in common."""
    settings = [row.settings for row in table.rows]
    different = set(differing(settings))
    return {key: value for key, value in settings[0].items() if key not in different}


def own_settings(table) -> list[dict]:
    """Of each row the params that not all rows share."""
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
