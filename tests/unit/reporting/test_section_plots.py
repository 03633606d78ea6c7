"""Figures of the sections: what tells methods apart, and what is written into them."""

import pandas as pd
import pytest

from pipeline.evaluation.groupings import LVIS
from pipeline.pages import style
from pipeline.reporting.sections import classifier, errors, frequency, training

METHODS = [f"m{i}" for i in range(1 + 4 * len(style.COLOURS))]


def test_a_group_without_an_ap_says_so_where_its_bar_would_stand():
    metrics = {"$m_1$": {"AP": 0.5, "APr": None, "APc": 0.2, "APf": 0.7}}
    table = frequency.ap_by_frequency(metrics, LVIS)
    figure = frequency.draw_ap_by_frequency(table, ["$m_1$"], "$m_1$")
    assert [text.get_text() for text in figure.axes[0].texts] == ["50.0", "none", "20.0", "70.0"]


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
    weights, scores = table[[*ids, "weight_norm"]], table[[*ids, "correct_score"]]
    categories = pd.DataFrame({"id": [1], "image_count": [3]})
    figures = [
        frequency.draw_ap_vs_frequency(table, METHODS, "m0", LVIS),
        training.draw_curves(table, METHODS, "m0"),
        errors.draw_calibration(table, METHODS, "m0", LVIS),
        classifier.draw_classifier(weights, scores, categories, METHODS, "m0", LVIS),
    ]
    for figure in figures:
        lines = [line for line in figure.axes[0].lines if not line.get_label().startswith("_")]
        assert len(set(map(line_look, lines))) == len(METHODS)
    for figure in (figures[0], figures[3]):
        assert len(set(map(dot_look, figure.axes[0].collections))) == len(METHODS)
    bars = frequency.draw_ap_by_frequency(table, METHODS, "m0").axes[0].containers
    assert len({(bar[0].get_facecolor(), bar[0].get_hatch()) for bar in bars}) == len(METHODS)


@pytest.mark.parametrize(("count", "texts"), [(2, 12), (4, 24), (5, 0)])
def test_errors_of_few_methods_have_their_values_over_the_bars(count, texts):
    names = METHODS[:count]
    delta = dict.fromkeys(errors.ERRORS, 0.1234)
    found = {name: {"tide": {"delta": delta}} for name in names}
    axes = errors.draw_errors(found, names, "m0").axes[0]
    assert [text.get_text() for text in axes.texts] == ["12.3"] * texts


def test_calibration_has_room_for_markers_at_both_ends():
    table = pd.DataFrame({"method": "m0", "group": "all", "count": 99, "mean_score": [0.0, 1.0]})
    table = table.assign(precision=table.mean_score)
    axes = errors.draw_calibration(table, ["m0"], "m0", LVIS).axes[0]
    for low, high in (axes.get_xlim(), axes.get_ylim()):
        assert low < 0 and high > 1
