"""The tables of AP: of the boxes and, where a method has any, of the masks."""

from pipeline.reporting.sections import Section
from pipeline.tables import texts
from pipeline.tables.ap import WHY_NONE, box_tables, cells, has_gaps, mask_tables
from pipeline.tables.published import published

TITLE = "Results"
PLACE = 10
TEXTS = {"csv": texts.to_csv, "md": texts.to_markdown, "tex": texts.to_tex}


def make(inputs) -> Section:
    about = inputs.metrics, inputs.baseline, inputs.grouping
    boxes, masks = (published(inputs.params, kind) for kind in ("bbox", "segm"))
    box, mask = box_tables(*about, boxes[True]), mask_tables(*about, masks[True])
    kinds = [shown("Box", box, boxes[False])]
    if mask:
        kinds.append(shown("Mask", mask, masks[False]))
    return Section(
        values={"kinds": kinds, "why_none": WHY_NONE},
        files=files("ap_by_frequency", box) | files("ap_by_frequency_segm", mask),
    )


def shown(of, tables, elsewhere) -> dict:
    """One kind of AP; ``elsewhere``: published of other detectors."""
    return {
        "of": of,
        "tables": [
            {"columns": table.columns, "cells": cells(table), "published": table.published}
            for table in tables
        ],
        "elsewhere": elsewhere,
        "gaps": any(map(has_gaps, tables)),
    }


def files(name, tables) -> dict[str, str | None]:
    return {f"{name}.{kind}": text(tables) if tables else None for kind, text in TEXTS.items()}
