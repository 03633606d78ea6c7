"""The numbers behind the plots, and that figures become the same svg each time."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evaluation.groupings import LVIS, SIMCAL
from pipeline.pages import style
from pipeline.reporting import curves, diagnosis_plots, error_plots, plots


def categories(counts, codes, count="image_count"):
    return pd.DataFrame({count: counts, "group": list(codes)})


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 2000), st.floats(0, 1)), min_size=1, max_size=200))
def test_binned_means_stay_within_the_data(pairs):
    counts, ap = (np.array(column, float) for column in zip(*pairs, strict=True))
    centres, means = plots.binned_means(counts, ap)
    assert (np.diff(centres) > 0).all()
    assert centres[0] >= counts.min() * (1 - 1e-9)
    assert centres[-1] <= counts.max() * (1 + 1e-9)
    assert means.min() >= ap.min() - 1e-9
    assert means.max() <= ap.max() + 1e-9


def test_binned_means_of_one_bin_are_the_means():
    centres, means = plots.binned_means(np.array([1.0, 4.0, 16.0]), np.array([0.1, 0.2, 0.6]))
    assert centres == pytest.approx([4.0])
    assert means == pytest.approx([0.3])


def test_groups_meet_between_their_counts():
    edges = plots.group_edges(categories([1, 10, 11, 100, 101, 400], "rrccff"), LVIS)
    assert list(edges) == ["r", "c", "f"]
    assert 10 < edges["r"][1] == edges["c"][0] < 11
    assert 100 < edges["c"][1] == edges["f"][0] < 101


def test_groups_that_overlap_are_not_shaded():
    assert plots.group_edges(categories([1, 50, 11], "rrc"), LVIS) == {}


def test_what_is_in_no_group_keeps_a_place_on_the_axis():
    table = categories([0, 3, 20, 9000], ["", "1", "2", "4"], "instance_count")
    edges = plots.group_edges(table, SIMCAL)
    assert list(edges) == ["", "1", "2", "4"]
    assert 0 < edges[""][0] < plots.NO_IMAGE < edges[""][1] == edges["1"][0] < 3


def test_deltas_are_sorted_by_training_images_and_undefined_where_one_side_is():
    table = pd.DataFrame(
        {
            "method": ["a", "a", "name", "name"],
            "category_id": [1, 2, 1, 2],
            "name": ["x", "y"] * 2,
            "group": ["f", "r"] * 2,
            "image_count": [200, 3] * 2,
            "AP": [0.5, np.nan, 0.75, 0.1],
        }
    )
    about, change = plots.deltas(table, "a", LVIS)
    assert about["name"].tolist() == ["y", "x"]
    assert change["name"].tolist() == pytest.approx([np.nan, 0.25], nan_ok=True)


def test_svg_is_the_same_each_time_and_follows_the_colours_of_the_page():
    table = plots.ap_by_frequency({"$m_1$": {"AP": 0.5, "APr": None, "APc": 0.2, "APf": 0.7}}, LVIS)
    figures = [plots.draw_ap_by_frequency(table, ["$m_1$"], "$m_1$") for _ in range(2)]
    svgs = [style.to_svg(figure, "bars") for figure in figures]
    assert svgs[0] == svgs[1]
    assert "$m_1$" in svgs[0]
    assert ">none<" in svgs[0]
    page = style.for_page(svgs[0], "bars", "a plot")
    assert style.INK not in page
    assert page.startswith('<svg role="img" aria-label="a plot"')


METHODS = [f"m{i}" for i in range(1 + 4 * len(style.COLOURS))]


def line_look(line):
    return line.get_color(), str(line._dash_pattern), line.get_marker()


def dot_look(dots):
    return dots.get_paths()[0].vertices.tobytes(), *dots.get_facecolor()[0]


def test_many_methods_have_a_look_each_in_every_plot():
    table = pd.DataFrame({"method": METHODS, "category_id": 1}).assign(
        name="x", group="r", image_count=3, AP=0.5, step=10, loss=0.4, lr=0.1,
        weight_norm=1.0, correct_score=0.5, count=99, mean_score=0.5, precision=0.5,
    )  # fmt: skip
    ids = ["method", "category_id"]
    classifier, classes = table[[*ids, "weight_norm"]], table[[*ids, "correct_score"]]
    found = SimpleNamespace(calibration=table, classifier=classifier, classes=classes)
    categories = pd.DataFrame({"id": [1], "image_count": [3]})
    figures = [
        plots.draw_ap_vs_frequency(table, METHODS, "m0", LVIS),
        curves.draw_curves(table, METHODS, "m0"),
        diagnosis_plots.draw_calibration(found, METHODS, "m0", LVIS),
        diagnosis_plots.draw_classifier(found, categories, METHODS, "m0", LVIS),
    ]
    for figure in figures:
        lines = [line for line in figure.axes[0].lines if not line.get_label().startswith("_")]
        assert len(set(map(line_look, lines))) == len(METHODS)
    for figure in (figures[0], figures[3]):
        assert len(set(map(dot_look, figure.axes[0].collections))) == len(METHODS)
    bars = plots.draw_ap_by_frequency(table, METHODS, "m0").axes[0].containers
    assert len({(bar[0].get_facecolor(), bar[0].get_hatch()) for bar in bars}) == len(METHODS)


@pytest.mark.parametrize(("count", "texts"), [(2, 12), (4, 24), (5, 0)])
def test_errors_of_few_methods_have_their_values_over_the_bars(count, texts):
    names = METHODS[:count]
    delta = dict.fromkeys(error_plots.ERRORS, 0.1234)
    found = SimpleNamespace(errors={name: {"tide": {"delta": delta}} for name in names})
    axes = error_plots.draw_errors(found, names, "m0").axes[0]
    assert [text.get_text() for text in axes.texts] == ["12.3"] * texts


def test_calibration_has_room_for_markers_at_both_ends():
    table = pd.DataFrame({"method": "m0", "group": "all", "count": 99, "mean_score": [0.0, 1.0]})
    found = SimpleNamespace(calibration=table.assign(precision=table.mean_score))
    axes = diagnosis_plots.draw_calibration(found, ["m0"], "m0", LVIS).axes[0]
    for low, high in (axes.get_xlim(), axes.get_ylim()):
        assert low < 0 and high > 1


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
