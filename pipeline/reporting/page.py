"""reports/index.html: one self-contained file, from the numbers and plots."""

from dataclasses import dataclass
from pathlib import Path

import jinja2

from pipeline.pages.style import for_page, method_looks
from pipeline.pages.template import minus, render_template
from pipeline.reporting import findings, provenance
from pipeline.reporting.gallery import EXTRA, MOST, RULE
from pipeline.reporting.load import Inputs
from pipeline.reporting.panels import FONT_SIZE, WIDTH, pictures
from pipeline.reporting.spread import of_masks, spread_rows
from pipeline.tables.ap import WHY_NONE, Table, cells, has_gaps
from pipeline.tables.published import Published


@dataclass(frozen=True)
class Kind:
    """The tables of the boxes' AP or of the masks'; ``elsewhere``: published of other detectors."""

    of: str
    tables: list[Table]
    elsewhere: tuple[Published, ...]


def render(inputs: Inputs, kinds: list[Kind], plots: dict[str, str], truth) -> str:
    """``plots``: name -> svg; ``truth``: Truth."""
    shown = plot_titles(inputs)
    values = dict(
        kinds=[
            {
                "of": kind.of,
                "tables": [shown_table(table) for table in kind.tables],
                "elsewhere": kind.elsewhere,
                "gaps": any(map(has_gaps, kind.tables)),
            }
            for kind in kinds
        ],
        plots={n: for_page(p, n, alt_text(shown[n], inputs.methods)) for n, p in plots.items()},
        plot_titles=shown,
        titles=findings.headline(inputs),
        spreads=spreads(inputs),
        pairs=findings.confused_pairs(inputs.diagnosis),
        pictures=pictures(inputs, truth),
    )
    return render_template(
        Path(__file__).with_suffix(".html.j2"),
        sections=sections(values),
        data=inputs.params.data,
        seed=inputs.params.seed,
        methods=inputs.methods,
        baseline=inputs.baseline,
        challenger=inputs.challenger,
        looks=method_looks(inputs.methods, inputs.baseline),
        grouping=inputs.grouping,
        group_order=list(inputs.grouping.names),
        sizes=inputs.categories.group.value_counts().to_dict(),
        val_images=len(truth.images),
        sentence=minus(findings.summary(inputs)),
        tiles=findings.tiles(inputs),
        why_none=WHY_NONE,
        categories=findings.category_rows(inputs),
        extremes=findings.extremes(inputs),
        diagnosis=inputs.diagnosis,
        rule=gallery_rule(inputs),
        panel={"width": WIDTH, "font": FONT_SIZE},
        costs=provenance.cost_rows(inputs),
        models=provenance.model_rows(inputs),
        other_seeds=provenance.other_seeds(inputs),
        remakes=provenance.remakes(inputs),
        digests=provenance.data_digests(inputs),
        versions=provenance.versions(),
        params_yaml=provenance.resolved_yaml(inputs.params, inputs.methods),
        **values,
    )


def shown_table(table: Table) -> dict:
    return {"columns": table.columns, "cells": cells(table), "published": table.published}


def sections(values) -> list[dict]:
    """Id, which is the file's name too, and title of the parts that have something to show."""
    plots = values["plots"]
    shown = {
        "results": ("Results", True),
        "spread": ("How sure", bool(values["spreads"])),
        "frequency": ("By frequency", True),
        "categories": ("By category", True),
        "errors": ("Errors", "errors" in plots or "calibration" in plots),
        "classifier": ("Classifier", "classifier" in plots),
        "gallery": ("Gallery", bool(values["pictures"])),
        "training": ("Training", "training_curves" in plots),
        "cost": ("Cost", True),
        "provenance": ("Provenance", True),
    }
    return [{"id": key, "title": title} for key, (title, there) in shown.items() if there]


def spreads(inputs) -> list[dict]:
    """Of the boxes, and of the masks, as far as there is something to say: the table's columns and
    rows, and the name of the plot."""
    boxes = findings.headline(inputs)
    kinds = [("Box AP", "spread", boxes), ("Mask AP", "spread_segm", of_masks(boxes))]
    return [
        {"of": of, "plot": plot, "titles": titles, "rows": rows}
        for of, plot, titles in kinds
        if (rows := spread_rows(inputs.seeds, titles, inputs.baseline))
    ]


def plot_titles(inputs) -> dict[str, str]:
    """What each plot shows, in words; the numbers are in the page's tables."""
    unit, names = inputs.grouping.unit, ", ".join(inputs.grouping.names.values())
    return {
        "ap_vs_frequency": f"AP of every category against its number of training {unit}",
        "ap_by_frequency": f"AP over all categories and by group: {names}",
        "delta_per_category": f"AP of every category minus that of {inputs.baseline}",
        "training_curves": "Training loss and learning rate by iteration",
        "spread": f"Difference to {inputs.baseline} in AP and by group, with intervals",
        "spread_segm": f"Difference to {inputs.baseline} in mask AP and by group, with intervals",
        "errors": "Points of AP50 that each kind of error costs, over all categories",
        "objects": "Shares of each group's objects that are right, taken for others, not found",
        "calibration": "Share of correct detections against their score",
        "classifier": f"Classifier weight norm and mean score against training {unit}",
        "confusion": "Maps of what each bin of categories is taken for, first and last epoch",
        "sampling": "Chance of each group of categories to be hallucinated, by epoch",
    }


def alt_text(title, methods) -> str:
    return str(jinja2.filters.escape(f"{title}, for {', '.join(methods)}"))


def gallery_rule(inputs) -> str:
    rarest, *others = (group.of("objects") for group in inputs.grouping.groups)
    return RULE.format(
        rarest=rarest,
        others=", then ".join(others),
        baseline=inputs.baseline,
        challenger=inputs.challenger or "nothing found",
        extra=EXTRA,
        most=MOST,
    )
