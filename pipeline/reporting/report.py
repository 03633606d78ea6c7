"""All reports of the methods in params: tables, plots and their data, and the page."""

from pathlib import Path

from pipeline.files import atomic_folder, write_json, write_text
from pipeline.pages.style import to_svg
from pipeline.params import Params
from pipeline.reporting import curves, diagnosis_plots, error_plots, findings, page, plots, spread
from pipeline.reporting.ground_truth import load_truth
from pipeline.reporting.load import Inputs, load_inputs
from pipeline.tables import ap as tables
from pipeline.tables import formats, texts
from pipeline.tables.published import published


def build(params: Params, root=Path()) -> None:
    """Write ``root``/reports; ``ValueError`` names what is missing and the command that makes it.

    Everything is made before anything is written, so an error leaves the last reports as they are.
    """
    inputs = load_inputs(params, root)
    kinds = all_tables(inputs)
    data = plot_data(inputs)
    figures = draw(inputs, data)
    truth = load_truth(inputs.val_annotations, inputs.grouping)
    over_seeds = {kind: text_of(inputs.seeds_table) for kind, text_of in formats.KINDS.items()}
    html = page.render(inputs, [kind for kind in kinds if kind.tables], figures, truth)
    reports = root / "reports"
    write_plots(reports / "plots", data, figures)
    for kind, name in zip(kinds, ("ap_by_frequency", "ap_by_frequency_segm"), strict=True):
        write_tables(reports / name, kind.tables)
    for kind, text in over_seeds.items():
        write_text(reports / f"over_seeds.{kind}", text)
    write_json(reports / "summary.json", findings.headlines(inputs))
    write_text(reports / "index.html", html)


def all_tables(inputs: Inputs) -> list[page.Kind]:
    """Of the boxes, and of the masks: without a table where no method has any."""
    about = (inputs.metrics, inputs.baseline, inputs.grouping)
    kinds = []
    for of, make, iou_type in (
        ("Box", tables.box_tables, "bbox"),
        ("Mask", tables.mask_tables, "segm"),
    ):
        rows = published(inputs.params, iou_type)
        kinds.append(page.Kind(of, make(*about, rows[True]), rows[False]))
    return kinds


def write_tables(path, found):
    """Write ``path``.{csv,md,tex}; without a table remove those of an earlier report."""
    kinds = {"csv": texts.to_csv, "md": texts.to_markdown, "tex": texts.to_tex}
    for kind, text_of in kinds.items():
        file = path.with_name(f"{path.name}.{kind}")
        if found:
            write_text(file, text_of(found))
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
    who, grouping, found = (inputs.methods, inputs.baseline), inputs.grouping, inputs.diagnosis
    headline = findings.headline(inputs)
    figures = {
        "ap_vs_frequency": plots.draw_ap_vs_frequency(inputs.per_category, *who, grouping),
        "ap_by_frequency": plots.draw_ap_by_frequency(data["ap_by_frequency"], *who),
        "delta_per_category": plots.draw_deltas(inputs.per_category, *who, grouping),
        "training_curves": curves.draw_curves(data["training_curves"], *who),
        "spread": spread.draw_spread(inputs.seeds, headline, *who),
        "spread_segm": spread.draw_spread(inputs.seeds, spread.of_masks(headline), *who),
        "errors": error_plots.draw_errors(found, *who),
        "objects": error_plots.draw_objects(found, inputs.methods, grouping),
        "calibration": diagnosis_plots.draw_calibration(found, *who, grouping),
        "classifier": diagnosis_plots.draw_classifier(found, inputs.categories, *who, grouping),
        "confusion": diagnosis_plots.draw_confusion(found.confusion, grouping),
        "sampling": diagnosis_plots.draw_sampling(found.sampling, grouping),
    }
    return {name: to_svg(f, name) for name, f in figures.items() if f is not None}


def write_plots(folder, data, figures):
    with atomic_folder(folder) as temporary:
        for name, table in data.items():
            table.to_csv(temporary / f"{name}.csv", index=False, lineterminator="\n")
        for name, svg in figures.items():
            (temporary / f"{name}.svg").write_text(svg, encoding="utf-8")
