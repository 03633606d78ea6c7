"""A section of the report is one module here and its template: `<name>.py`, `<name>.html.j2`.

The module has a ``TITLE`` for the page's navigation, a ``PLACE``, the number by which the sections
stand in order, and ``make(inputs) -> Section``. No other file names a section: the folder is
listed. The template, whose heading has the id `<name>`, sees the section's own values and plots
and `page.shared`.
"""

import importlib
import pkgutil
from dataclasses import dataclass, field
from types import ModuleType

import pandas as pd
from matplotlib.figure import Figure


@dataclass(frozen=True)
class Plot:
    """``shows``: what it shows, in words. Without a ``figure`` there is nothing to draw; ``data``
    are numbers that are written beside it, drawn or not."""

    shows: str
    figure: Figure | None
    data: pd.DataFrame | None = None


@dataclass(frozen=True)
class Section:
    """What a section makes of the inputs, before anything is written.

    ``values`` are its template's; None: there is nothing to show on the page. ``plots``, by name,
    become reports/plots/<name>.svg and .csv. ``files``: name under reports/ -> text; None removes
    what an earlier report wrote there.
    """

    values: dict | None
    plots: dict[str, Plot] = field(default_factory=dict)
    files: dict[str, str | None] = field(default_factory=dict)


def modules() -> list[ModuleType]:
    names = [f"{__name__}.{found.name}" for found in pkgutil.iter_modules(__path__)]
    return sorted(map(importlib.import_module, names), key=lambda found: found.PLACE)
