"""The AP-by-frequency table: exact text of small inputs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.reporting import tables

KEYS = ("AP", "AP50", "AP75", "APr", "APc", "APf", "fixed/AP", "fixed/APr")


def metrics(*values):
    return dict(zip(KEYS, values, strict=True))


@pytest.fixture
def table():
    return tables.rows(
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
    table = tables.rows({"m": metrics(0.2, 0.3, 0.1, None, 0.2, 0.2, 0.2, None)}, "m")
    assert tables.to_csv(table).splitlines()[1] == "m,0.2,0.3,0.1,,0.2,0.2,0.0,0.2,"
    assert "| 10.0 | none | 20.0 |" in tables.to_markdown(table)
    assert " & none \\\\" in tables.to_tex(table)


def test_no_ap_at_all_gives_no_delta_and_no_best():
    nothing = metrics(*[None] * len(KEYS))
    table = tables.rows({"a": nothing, "b": nothing}, "a")
    assert tables.to_markdown(table).count("none") == 2 * len(tables.COLUMNS)
    assert "**" not in tables.to_markdown(table)


def test_a_single_method_has_no_best():
    table = tables.rows({"m": metrics(*[0.5] * len(KEYS))}, "m")
    assert "**" not in tables.to_markdown(table)
    assert "textbf" not in tables.to_tex(table)


def test_values_that_print_alike_are_all_best():
    base = [0.1] * len(KEYS)
    table = tables.rows({"a": metrics(0.30001, *base[1:]), "b": metrics(0.30004, *base[1:])}, "a")
    assert [tables.cells(table)[m][0].best for m in "ab"] == [True, True]


def test_markdown_and_tex_survive_any_name():
    table = tables.rows({r"a|b\c~^{$#}": metrics(*[0.5] * len(KEYS))}, r"a|b\c~^{$#}")
    assert tables.to_markdown(table).splitlines()[2].startswith(r"| a\|b\c~^{$#} |")
    escaped = r"a|b\textbackslash{}c\textasciitilde{}\textasciicircum{}\{\$\#\} &"
    assert escaped in tables.to_tex(table)


@settings(max_examples=60, deadline=None)
@given(st.floats(-1, 1))
def test_percent_is_the_rounded_number_and_zero_has_no_sign(value):
    text = tables.percent(value, signed=True)
    assert float(text) == pytest.approx(100 * value, abs=0.05 + 1e-9)
    assert text == "0.0" if float(text) == 0 else text[0] in "+-"
