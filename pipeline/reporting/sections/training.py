"""Loss and learning rate by step, from models/<method>/scalars.jsonl."""

import matplotlib.ticker
import pandas as pd
from matplotlib.figure import Figure

from pipeline.pages.style import FULL_WIDTH, literal, method_looks, styled
from pipeline.reporting.axes import legend_above
from pipeline.reporting.sections import Plot, Section

TITLE = "Training"
PLACE = 80
PANELS = {"loss": "training loss", "lr": "learning rate"}


def make(inputs) -> Section:
    curves = training_curves(inputs.scalars, inputs.methods)
    figure = draw_curves(curves, inputs.methods, inputs.baseline)
    plot = Plot("Training loss and learning rate by iteration", figure, curves)
    return Section({} if figure else None, {"training_curves": plot})


def training_curves(scalars: pd.DataFrame, methods) -> pd.DataFrame:
    """One row a logged step: method, step, epoch, loss, lr; empty where nothing was logged."""
    shown = scalars[scalars.method.isin(methods)]
    return shown[["method", "step", "epoch", *PANELS]].dropna(subset=list(PANELS), how="all")


@styled
def draw_curves(curves, methods, baseline) -> Figure | None:
    """None where there is nothing to draw."""
    if curves.empty:
        return None
    figure = Figure(figsize=(FULL_WIDTH, 3.0), layout="constrained")
    panels = figure.subplots(1, len(PANELS))
    for axes, (column, title) in zip(panels, PANELS.items(), strict=True):
        for method, look in method_looks(methods, baseline).items():
            own = curves[curves.method == method]
            own = own[own[column].notna()]
            if len(own):
                axes.plot(
                    own.step.to_numpy(float), own[column].to_numpy(float),
                    lw=1.4, label=literal(method), **look.line,
                )  # fmt: skip
        axes.set_title(title)
        axes.set_xlabel("iteration of the stage")
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_formatter(matplotlib.ticker.StrMethodFormatter("{x:,.0f}"))
        axes.grid(axis="y")
        axes.margins(x=0.01)
    legend_above(figure, panels[0])
    return figure
