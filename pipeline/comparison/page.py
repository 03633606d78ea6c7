"""The comparison as one self-contained HTML page, in the look of the report."""

from pipeline.comparison.formats import INTERVALS, notes
from pipeline.comparison.grouping import differing
from pipeline.comparison.plot import draw_rows
from pipeline.comparison.table import Table, interval_text
from pipeline.evaluation.groupings import GROUPINGS
from pipeline.reporting.page import MINUS, render_template
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
    """Which row is highest in what."""
    best = {}
    for column in columns:
        means = {row.title: row.summary(column.key).mean for row in table.rows}
        known = {title: mean for title, mean in means.items() if mean is not None}
        if known:
            title = max(known, key=known.get)
            best.setdefault(title, []).append(f"{column.title} {percent(known[title])}")
    said = [f"{title} is highest in {', '.join(parts)}" for title, parts in best.items()]
    return f"{'; '.join(said)}." if said else "No AP is defined."


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
    """Of each row the params that not all rows share, and that its labels do not show."""
    shown = {*shared_settings(table), *table.labels}
    return [
        {"title": row.title, "settings": {k: v for k, v in row.settings.items() if k not in shown}}
        for row in table.rows
    ]


def origins(table) -> list[dict]:
    return [
        {"title": row.title, "seed": seed, "run": run.name, "place": run.place}
        for row in table.rows
        for seed, (run, _) in row.runs.items()
    ]
