"""All reports of the methods in params: tables, plots and their data, and the page."""

from pathlib import Path

from pipeline.files import atomic_folder, write_text
from pipeline.params import Params
from pipeline.reporting import curves, page, plots, tables
from pipeline.reporting.inputs import Inputs, load_inputs
from pipeline.reporting.style import to_svg
from pipeline.reporting.truth import load_truth


def build(params: Params, root=Path()) -> None:
    """Write ``root``/reports; ``ValueError`` names what is missing and the command that makes it.

    Everything is made before anything is written, so an error leaves the last reports as they are.
    """
    inputs = load_inputs(params, root)
    about = (inputs.metrics, inputs.baseline, inputs.grouping)
    boxes, masks = tables.box_table(*about), tables.mask_table(*about)
    data = plot_data(inputs)
    figures = draw(inputs, data)
    truth = load_truth(inputs.val_annotations, inputs.grouping)
    html = page.render(inputs, boxes, masks, figures, truth)
    reports = root / "reports"
    write_plots(reports / "plots", data, figures)
    write_table(reports / "ap_by_frequency", boxes)
    write_table(reports / "ap_by_frequency_segm", masks)
    write_text(reports / "index.html", html)


def write_table(path, table):
    """Write ``path``.{csv,md,tex}; without a table remove those of an earlier report."""
    kinds = {"csv": tables.to_csv, "md": tables.to_markdown, "tex": tables.to_tex}
    for kind, text_of in kinds.items():
        file = path.with_name(f"{path.name}.{kind}")
        if table:
            write_text(file, text_of(table))
        else:
            file.unlink(missing_ok=True)


def plot_data(inputs: Inputs):
    return {
        "ap_vs_frequency": plots.ap_vs_frequency(inputs.per_category, inputs.grouping),
        "ap_by_frequency": plots.ap_by_frequency(inputs.metrics, inputs.grouping),
        "training_curves": curves.training_curves(inputs.scalars, inputs.methods),
    }


def draw(inputs: Inputs, data) -> dict[str, str]:
    """name -> svg; without the plots that have nothing to show."""
    who, grouping = (inputs.methods, inputs.baseline), inputs.grouping
    figures = {
        "ap_vs_frequency": plots.draw_ap_vs_frequency(inputs.per_category, *who, grouping),
        "ap_by_frequency": plots.draw_ap_by_frequency(data["ap_by_frequency"], *who),
        "delta_per_category": plots.draw_deltas(inputs.per_category, *who, grouping),
        "training_curves": curves.draw_curves(data["training_curves"], *who),
    }
    return {name: to_svg(f, name) for name, f in figures.items() if f is not None}


def write_plots(folder, data, figures):
    with atomic_folder(folder) as temporary:
        for name, table in data.items():
            table.to_csv(temporary / f"{name}.csv", index=False, lineterminator="\n")
        for name, svg in figures.items():
            (temporary / f"{name}.svg").write_text(svg, encoding="utf-8")
