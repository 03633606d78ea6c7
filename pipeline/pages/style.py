"""How the plots look, and how a figure becomes an svg file and a part of the HTML page.

The figures carry no date and no random id, so the same input gives the same bytes.
"""

import io
import itertools
import re
from dataclasses import dataclass

import matplotlib
from matplotlib.figure import Figure

INK = "#24292e"
PAPER = "#fefefe"
SHADE = "#8b949e"
BASELINE_COLOUR = "#8b949e"
COLOURS = ("#2f81f7", "#e8722c", "#1fa38a", "#a371f7", "#db61a2", "#96604c", "#4c9f38", "#d1495b")
# by the round through the colours, so that 32 methods look different
MARKERS = ("o", "s", "^", "D")
LINES = ("-", (0, (4, 1.5)), (0, (1.2, 1.2)), (0, (5, 1.2, 1.2, 1.2)))
HATCHES = ("", "/////", ".....", "xxxxx")
FULL_WIDTH = 9.2
HALF_WIDTH = 4.6
RASTER_POINTS = 3000

STYLE = {
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.linewidth": 0.7,
    "axes.unicode_minus": True,
    "figure.facecolor": PAPER,
    "figure.dpi": 200,
    "grid.color": SHADE,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.8,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "savefig.facecolor": PAPER,
    "svg.fonttype": "none",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def styled(draw):
    """Decorator of a function that builds a figure: ``STYLE`` holds inside it and nowhere else."""

    def with_style(*arguments) -> Figure:
        with matplotlib.rc_context(STYLE):
            return draw(*arguments)

    return with_style


@dataclass(frozen=True)
class Look:
    """How a method is drawn; the first colours once more are another ``round``."""

    colour: str
    round: int = 0

    @property
    def marker(self) -> dict:
        """Arguments of ``Axes.scatter`` and ``Axes.plot``."""
        return {"color": self.colour, "marker": MARKERS[self.round]}

    @property
    def line(self) -> dict:
        """Arguments of ``Axes.plot``."""
        return {"color": self.colour, "linestyle": LINES[self.round]}

    @property
    def bar(self) -> dict:
        """Arguments of ``Axes.bar``."""
        hatch = {"hatch": HATCHES[self.round], "edgecolor": "white", "linewidth": 0}
        return {"color": self.colour, **hatch}


def method_looks(methods, baseline) -> dict[str, Look]:
    """Grey for the baseline, one look each for the others in their order."""
    others = [m for m in methods if m != baseline]
    looks = itertools.cycle(Look(c, r) for r in range(len(LINES)) for c in COLOURS)
    palette = dict(zip(others, looks, strict=False))
    return {m: palette.get(m, Look(BASELINE_COLOUR)) for m in methods}


def method_colours(methods, baseline) -> dict[str, str]:
    """For plots that name a method where they draw it; elsewhere two may share a colour."""
    return {m: look.colour for m, look in method_looks(methods, baseline).items()}


def literal(name) -> str:
    """A name as a plot label: "$" starts no formula in it, and "_" at its start hides nothing."""
    text = name.replace("$", r"\$")
    return f"\u200b{text}" if text.startswith("_") else text


def to_svg(figure, name) -> str:
    """The figure as svg text, the same bytes for the same figure."""
    out = io.StringIO()
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()


def for_page(svg, name, description) -> str:
    """The svg as a part of an HTML page: ids of its own, the page's ink, no background."""
    body = svg[svg.index("<svg ") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r'(href="|url\()#', rf"\g<1>#{name}-", body)
    body = body.replace(INK, "currentColor").replace(f"fill: {PAPER}", "fill: none")
    return body.replace("<svg ", f'<svg role="img" aria-label="{description}" ', 1)
