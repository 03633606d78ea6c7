"""The AP-by-frequency table: exact text of small inputs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evaluation.groupings import LVIS, SIMCAL
from pipeline.reporting import tables

KEYS = ("AP", "AP50", "AP75", "APr", "APc", "APf", "fixed/AP", "fixed/APr")


def metrics(*values):
    return dict(zip(KEYS, values, strict=True))


def make(metrics, baseline):
    return tables.box_table(metrics, baseline, LVIS)


@pytest.fixture
def table():
    return make(
        {
            "soft_max": metrics(0.25, 0.4, 0.2, 0.1, 0.25, 0.5, 0.3, 0.125),
            "a&b 50%": metrics(0.3125, 0.5, 0.2, 0.15, 0.2, 0.5, 0.3, 0.25),
        },
        "soft_max",
    )


def test_csv_keeps_full_precision(table):
    assert tables.to_csv(table) == (
        "method,AP,AP50,AP75,APr,APc,APf,delta_AP,fixed_AP,fixed_APr\n"
        "soft_max,0.25,0.4,0.2,0.1,0.25,0.5,0.0,0.3,0.125\n"
        "a&b 50%,0.3125,0.5,0.2,0.15,0.2,0.5,0.0625,0.3,0.25\n"
    )


def test_markdown_has_percent_with_one_decimal_and_the_best_in_bold(table):
    assert tables.to_markdown(table) == (
        "| method | AP | AP50 | AP75 | APr | APc | APf | ΔAP | AP-fixed | APr-fixed |\n"
        "| :--- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        "| soft_max | 25.0 | 40.0 | **20.0** | 10.0 | **25.0** | **50.0** | 0.0 | **30.0** "
        "| 12.5 |\n"
        "| a&b 50% | **31.2** | **50.0** | **20.0** | **15.0** | 20.0 | **50.0** | +6.2 | **30.0** "
        "| **25.0** |\n"
    )


def test_tex_is_booktabs_with_escaped_names(table):
    assert tables.to_tex(table) == (
        "% \\usepackage{booktabs}; percent, best in bold\n"
        "\\begin{tabular}{lrrrrrrrrr}\n"
        "\\toprule\n"
        "Method & AP & AP$_{50}$ & AP$_{75}$ & AP$_r$ & AP$_c$ & AP$_f$ & $\\Delta$AP"
        " & AP$^{\\mathrm{fixed}}$ & AP$_r^{\\mathrm{fixed}}$ \\\\\n"
        "\\midrule\n"
        "soft\\_max & 25.0 & 40.0 & \\textbf{20.0} & 10.0 & \\textbf{25.0} & \\textbf{50.0} & $0.0$"
        " & \\textbf{30.0} & 12.5 \\\\\n"
        "a\\&b 50\\% & \\textbf{31.2} & \\textbf{50.0} & \\textbf{20.0} & \\textbf{15.0} & 20.0"
        " & \\textbf{50.0} & $+6.2$ & \\textbf{30.0} & \\textbf{25.0} \\\\\n"
        "\\bottomrule\n"
        "\\end{tabular}\n"
    )


def test_a_group_without_categories_is_none_in_texts_and_empty_in_csv():
    table = make({"m": metrics(0.2, 0.3, 0.1, None, 0.2, 0.2, 0.2, None)}, "m")
    assert tables.to_csv(table).splitlines()[1] == "m,0.2,0.3,0.1,,0.2,0.2,0.0,0.2,"
    assert tables.WHY_NONE in tables.to_markdown(table)
    assert f"% {tables.WHY_NONE}" in tables.to_tex(table)
    assert "| 10.0 | none | 20.0 |" in tables.to_markdown(table)
    assert " & none \\\\" in tables.to_tex(table)


def test_no_ap_at_all_gives_no_delta_and_no_best():
    nothing = metrics(*[None] * len(KEYS))
    table = make({"a": nothing, "b": nothing}, "a")
    assert tables.to_markdown(table).count("| none") == 2 * len(table.columns)
    assert "**" not in tables.to_markdown(table)


def test_a_single_method_has_no_best():
    table = make({"m": metrics(*[0.5] * len(KEYS))}, "m")
    assert "**" not in tables.to_markdown(table)
    assert "textbf" not in tables.to_tex(table)


def test_values_that_print_alike_are_all_best():
    base = [0.1] * len(KEYS)
    table = make({"a": metrics(0.30001, *base[1:]), "b": metrics(0.30004, *base[1:])}, "a")
    assert [tables.cells(table)[m][0].best for m in "ab"] == [True, True]


def test_markdown_and_tex_survive_any_name():
    table = make({r"a|b\c~^{$#}": metrics(*[0.5] * len(KEYS))}, r"a|b\c~^{$#}")
    assert tables.to_markdown(table).splitlines()[2].startswith(r"| a\|b\c~^{$#} |")
    escaped = r"a|b\textbackslash{}c\textasciitilde{}\textasciicircum{}\{\$\#\} &"
    assert escaped in tables.to_tex(table)


@settings(max_examples=60, deadline=None)
@given(st.floats(-1, 1))
def test_percent_is_the_rounded_number_and_zero_has_no_sign(value):
    text = tables.percent(value, signed=True)
    assert float(text) == pytest.approx(100 * value, abs=0.05 + 1e-9)
    assert text == "0.0" if float(text) == 0 else text[0] in "+-"


def test_simcal_groups_stand_in_the_headers():
    keys = ["AP", "AP50", "AP75", "fixed/AP", "fixed/simcal/AP1"]
    keys += [f"simcal/AP{number}" for number in range(1, 5)]
    values = dict.fromkeys(keys, 0.25) | {"simcal/AP4": None}
    table = tables.box_table({"m": values}, "m", SIMCAL)
    assert tables.to_markdown(table).splitlines()[0] == (
        "| method | AP | AP50 | AP75 | AP [1,20) | AP [20,400) | AP [400,8000) | AP [8000,∞) "
        "| ΔAP | AP-fixed | AP-fixed [1,20) |"
    )
    assert "AP$_{[8000,\\infty)}$ & " in tables.to_tex(table)
    assert "AP$_{[1,20)}^{\\mathrm{fixed}}$ \\\\" in tables.to_tex(table)
    assert tables.to_csv(table) == (
        "method,AP,AP50,AP75,simcal_AP1,simcal_AP2,simcal_AP3,simcal_AP4,delta_AP,fixed_AP,"
        "fixed_simcal_AP1\nm,0.25,0.25,0.25,0.25,0.25,0.25,,0.0,0.25,0.25\n"
    )


def with_masks(values):
    return values | {f"segm/{key}": value / 2 for key, value in values.items()}


def test_masks_have_a_table_of_their_own():
    found = {m: with_masks(metrics(*[ap] * len(KEYS))) for m, ap in (("a", 0.4), ("b", 0.5))}
    assert tables.to_csv(tables.mask_table(found, "a", LVIS)) == (
        "method,AP,AP50,AP75,APr,APc,APf,delta_AP\n"
        "a,0.2,0.2,0.2,0.2,0.2,0.2,0.0\n"
        "b,0.25,0.25,0.25,0.25,0.25,0.25,0.04999999999999999\n"
    )
    assert "segm" not in tables.to_csv(tables.box_table(found, "a", LVIS))


def test_a_method_without_masks_is_not_in_their_table():
    found = {"boxes": metrics(*[0.4] * len(KEYS)), "masks": with_masks(metrics(*[0.4] * len(KEYS)))}
    table = tables.mask_table(found, "boxes", LVIS)
    assert list(table.rows) == ["masks"]
    assert table.rows["masks"]["delta_AP"] is None
    assert tables.mask_table({"boxes": found["boxes"]}, "boxes", LVIS) is None
