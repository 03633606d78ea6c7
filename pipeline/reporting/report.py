"""All reports of the methods in params: tables, plots and their data, and the page."""

from pathlib import Path

from pipeline.files import atomic_folder, write_json, write_text
from pipeline.pages.style import to_svg
from pipeline.params import Params
from pipeline.reporting import findings, page, sections
from pipeline.reporting.load import load_inputs


def build(params: Params, root=Path()) -> None:
    """Write ``root``/reports; ``ValueError`` names what is missing and the command that makes it.

    Everything is made before anything is written, so an error leaves the last reports as they are.
    """
    inputs = load_inputs(params, root)
    made = {module: module.make(inputs) for module in sections.modules()}
    plots = joined(section.plots for section in made.values())
    files = joined(section.files for section in made.values())
    svgs = {name: to_svg(plot.figure, name) for name, plot in plots.items() if plot.figure}
    html = page.render(inputs, made, svgs)
    reports = root / "reports"
    write_plots(reports / "plots", plots, svgs)
    for name, text in files.items():
        write_or_remove(reports / name, text)
    write_json(reports / "summary.json", findings.headlines(inputs))
    write_text(reports / "index.html", html)


def joined(parts) -> dict:
    """The sections' files as one; a name is the file of one section alone."""
    found: dict = {}
    for part in parts:
        if twice := found.keys() & part.keys():
            raise ValueError(f"two sections of the report make {min(twice)!r}; rename one")
        found |= part
    return found


def write_plots(folder, plots, svgs):
    with atomic_folder(folder) as temporary:
        for name, plot in plots.items():
            if plot.data is not None:
                path = temporary / f"{name}.csv"
                plot.data.to_csv(path, index=False, lineterminator="\n")
        for name, svg in svgs.items():
            (temporary / f"{name}.svg").write_text(svg, encoding="utf-8")


def write_or_remove(path, text):
    if text is None:
        path.unlink(missing_ok=True)
    else:
        write_text(path, text)
