"""reports/index.html: one self-contained file, from the sections that have something to show."""

from pathlib import Path
from types import ModuleType

import jinja2

from pipeline.pages.style import for_page, method_looks
from pipeline.pages.template import minus, render_template
from pipeline.reporting import findings
from pipeline.reporting.load import Inputs
from pipeline.reporting.sections import Section


def render(inputs: Inputs, made: dict[ModuleType, Section], svgs: dict[str, str]) -> str:
    """``made``: module -> what it made; ``svgs``: name -> plot."""
    shown = {module: section for module, section in made.items() if section.values is not None}
    return render_template(
        Path(__file__).with_suffix(".html.j2"),
        **shared(inputs),
        sections=[
            {
                "id": module.__name__.rpartition(".")[2],
                "title": module.TITLE,
                "html": render_section(inputs, module, section, svgs),
            }
            for module, section in shown.items()
        ],
        sizes=inputs.categories.group.value_counts().to_dict(),
        evaluated=inputs.per_category.category_id.nunique(),
        val_images=len(inputs.truth.images),
        sentence=minus(findings.summary(inputs)),
        tiles=findings.tiles(inputs),
        undiagnosed=inputs.diagnosis.missing,
        files=[name for one in made.values() for name, text in one.files.items() if text],
    )


def shared(inputs) -> dict:
    """What the page's template and every section's may use."""
    return dict(
        data=inputs.params.data,
        seed=inputs.params.seed,
        methods=inputs.methods,
        baseline=inputs.baseline,
        challenger=inputs.challenger,
        looks=method_looks(inputs.methods, inputs.baseline),
        grouping=inputs.grouping,
    )


def render_section(inputs, module, section, svgs) -> str:
    titles = {name: plot.shows for name, plot in section.plots.items()}
    drawn = titles.keys() & svgs.keys()
    return render_template(
        Path(module.__file__).with_suffix(".html.j2"),
        **shared(inputs),
        **section.values,
        plot_titles=titles,
        plots={n: for_page(svgs[n], n, alt_text(titles[n], inputs.methods)) for n in drawn},
    )


def alt_text(title, methods) -> str:
    return str(jinja2.filters.escape(f"{title}, for {', '.join(methods)}"))
