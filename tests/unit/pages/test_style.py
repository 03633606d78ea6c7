"""How methods look, and that figures become the same svg each time."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from pipeline.pages import style

METHODS = [f"m{i}" for i in range(1 + 4 * len(style.COLOURS))]


def test_svg_is_the_same_each_time_and_follows_the_colours_of_the_page():
    svgs = [style.to_svg(draw_bars("$m_1$"), "bars") for _ in range(2)]
    assert svgs[0] == svgs[1]
    assert "$m_1$" in svgs[0]
    page = style.for_page(svgs[0], "bars", "a plot")
    assert style.INK in svgs[0] and style.INK not in page
    assert page.startswith('<svg role="img" aria-label="a plot"')


@style.styled
def draw_bars(name):
    figure = Figure()
    figure.subplots().bar([0], [1], label=style.literal(name))
    figure.legend()
    return figure


def test_every_method_has_a_look_of_its_own():
    looks = style.method_looks(METHODS, "m0").values()
    assert len({tuple(look.marker.values()) for look in looks}) == len(METHODS)


def test_few_methods_differ_by_colour_alone():
    looks = style.method_looks(METHODS[: 1 + len(style.COLOURS)], "m0")
    assert {look.round for look in looks.values()} == {0}
    assert len({look.colour for look in looks.values()}) == len(looks)


@pytest.mark.parametrize("colour", [*style.COLOURS, style.BASELINE_COLOUR])
@pytest.mark.parametrize("paper", ["#ffffff", "#0d1117"])
def test_colours_stand_out_from_light_and_dark_paper(colour, paper):
    """3:1, what WCAG 2 asks of graphics."""
    low, high = sorted(map(luminance, (colour, paper)))
    assert (high + 0.05) / (low + 0.05) >= 3


def luminance(colour):
    parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(parts <= 0.03928, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]
