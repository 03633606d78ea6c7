"""The AP-by-frequency table: exact text of small inputs."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.evaluation.groupings import LVIS, SIMCAL
from pipeline.percent import percent
from pipeline.tables import ap as tables
from pipeline.tables import texts
from pipeline.tables.published import Published

KEYS = ("AP", "AP50", "AP75", "APr", "APc", "APf", "fixed/AP", "fixed/APr")
SIZES = {"APs": 0.1, "APm": 0.2, "APl": None, "AR@300": 0.5}


def metrics(*values):
    return dict(zip(KEYS, values, strict=True)) | SIZES


def make(metrics, baseline):
    return tables.box_tables(metrics, baseline, LVIS)


@pytest.fixture
def both():
    return make(
        {
            "soft_max": metrics(0.25, 0.4, 0.2, 0.1, 0.25, 0.5, 0.3, 0.125),
            "a&b 50%": metrics(0.3125, 0.5, 0.2, 0.15, 0.2, 0.5, 0.3, 0.25),
        },
        "soft_max",
    )


def test_csv_has_both_tables_side_by_side_in_unrounded_percent(both):
    assert texts.to_csv(both) == (
        "method,AP,delta_AP,APr,delta_APr,APc,delta_APc,APf,delta_APf,fixed_AP,fixed_APr,"
        "AP50,AP75,APs,APm,APl,AR300\n"
        "soft_max,25.0,0.0,10.0,0.0,25.0,0.0,50.0,0.0,30.0,12.5,40.0,20.0,10.0,20.0,,50.0\n"
        "a&b 50%,31.25,6.25,15.0,5.0,20.0,-5.0,50.0,0.0,30.0,25.0,50.0,20.0,10.0,20.0,,50.0\n"
    )


def test_markdown_has_percent_with_one_decimal_and_the_best_in_bold(both):
    assert texts.to_markdown(both[:1]) == (
        "| method | AP | ΔAP | APr | ΔAPr | APc | ΔAPc | APf | ΔAPf | AP-fixed | APr-fixed |\n"
        "| :--- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        "| soft_max | 25.0 | 0.0 | 10.0 | 0.0 | **25.0** | 0.0 | **50.0** | 0.0 | **30.0** "
        "| 12.5 |\n"
        "| a&b 50% | **31.2** | +6.2 | **15.0** | +5.0 | 20.0 | -5.0 | **50.0** | 0.0 | **30.0** "
        "| **25.0** |\n"
        "\nIn percent. Differences are taken before rounding.  \n"
    )
    assert texts.to_markdown(both).count("| method |") == 2


def test_tex_is_booktabs_with_escaped_names(both):
    assert texts.to_tex(both[:1]) == (
        "% \\usepackage{booktabs}; percent, best in bold\n"
        "% Differences are taken before rounding.\n"
        "\\begin{tabular}{lrrrrrrrrrr}\n"
        "\\toprule\n"
        "Method & AP & $\\Delta$AP & AP$_r$ & $\\Delta$AP$_r$ & AP$_c$ & $\\Delta$AP$_c$ & AP$_f$"
        " & $\\Delta$AP$_f$ & AP$^{\\mathrm{fixed}}$ & AP$_r^{\\mathrm{fixed}}$ \\\\\n"
        "\\midrule\n"
        "soft\\_max & 25.0 & $0.0$ & 10.0 & $0.0$ & \\textbf{25.0} & $0.0$ & \\textbf{50.0} & $0.0$"
        " & \\textbf{30.0} & 12.5 \\\\\n"
        "a\\&b 50\\% & \\textbf{31.2} & $+6.2$ & \\textbf{15.0} & $+5.0$ & 20.0 & $-5.0$"
        " & \\textbf{50.0} & $0.0$ & \\textbf{30.0} & \\textbf{25.0} \\\\\n"
        "\\bottomrule\n"
        "\\end{tabular}\n"
    )


def test_a_group_without_categories_is_none_in_texts_and_empty_in_csv():
    table = make({"m": metrics(0.2, 0.3, 0.1, None, 0.2, 0.2, 0.2, None)}, "m")
    line = texts.to_csv(table).splitlines()[1]
    assert line.startswith("m,20.0,0.0,,,20.0,0.0,20.0,0.0,20.0,,30.0")
    assert tables.WHY_NONE in texts.to_markdown(table)
    assert f"% {tables.WHY_NONE}" in texts.to_tex(table)
    assert "| none | none | 20.0 |" in texts.to_markdown(table)
    assert " & none \\\\" in texts.to_tex(table)


def test_rounding_is_a_matter_of_tables_with_differences(both):
    for text in (texts.to_markdown, texts.to_tex):
        assert texts.ROUNDING in text(both[:1]) and texts.ROUNDING not in text(both[1:])
        assert texts.ROUNDING not in text(make({"m": metrics(*[0.5] * len(KEYS))}, "m"))


ROW = Published("BACL_x", "Faster R-CNN, 12 + 12 epochs", "its README", {"AP": 0.278, "APr": 0.1})


def test_published_rows_are_marked_have_a_source_and_are_never_best():
    own = {"m": metrics(*[0.2] * len(KEYS)), "n": metrics(*[0.1] * len(KEYS))}
    found = tables.box_tables(own, "m", LVIS, (ROW,))
    text = texts.to_markdown(found[:1]).splitlines()
    assert text[4].startswith("| *published: BACL_x* [1] | 27.8 | – | 10.0 | – | – |")
    assert text[-1] == "[1] BACL_x: Faster R-CNN, 12 + 12 epochs; its README.  "
    assert "**20.0**" in text[2] and "**" not in text[4]
    tex = texts.to_tex(found[:1])
    assert "BACL\\_x (published)\\textsuperscript{1} & 27.8 & -- & 10.0" in tex
    assert tex.endswith(
        "\\end{tabular}\n\n\\smallskip{\\footnotesize\\raggedright\n"
        "\\textsuperscript{1} BACL\\_x: Faster R-CNN, 12 + 12 epochs; its README.\\par}\n"
    )
    assert "BACL" not in texts.to_csv(found)


def test_no_ap_at_all_gives_no_delta_and_no_best():
    nothing = metrics(*[None] * len(KEYS))
    found = make({"a": nothing, "b": nothing}, "a")[:1]
    assert texts.to_markdown(found).count("| none") == 2 * len(found[0].columns)
    assert "**" not in texts.to_markdown(found)


def test_a_single_method_has_no_best():
    table = make({"m": metrics(*[0.5] * len(KEYS))}, "m")
    assert "**" not in texts.to_markdown(table)
    assert "textbf" not in texts.to_tex(table)


def test_values_that_print_alike_are_all_best():
    base = [0.1] * len(KEYS)
    table = make({"a": metrics(0.30001, *base[1:]), "b": metrics(0.30004, *base[1:])}, "a")
    assert [tables.cells(table[0])[m][0].best for m in "ab"] == [True, True]


def test_sources_of_several_published_rows_are_numbered_lines():
    other = Published("R&D", "50 % of the epochs", "a_b (x.org/~y)", {"AP": 0.3})
    found = tables.box_tables({"m": metrics(*[0.2] * len(KEYS))}, "m", LVIS, (ROW, other))
    lines = texts.to_tex(found[:1]).splitlines()
    assert lines[-3] == r"\smallskip{\footnotesize\raggedright"
    assert lines[-2].endswith(r"its README.\\")
    assert lines[-1] == (
        r"\textsuperscript{2} R\&D: 50 \% of the epochs; a\_b (x.org/\textasciitilde{}y).\par}"
    )
    assert not [line for line in lines[1:] if line.startswith("%")]


def test_markdown_and_tex_survive_any_name():
    name = r"a|b\c~^{$#}"
    table = make({name: metrics(*[0.5] * len(KEYS))}, name)
    assert texts.to_markdown(table).splitlines()[2].startswith(r"| a\|b\\c\~^{\$#} |")
    escaped = r"a\textbar{}b\textbackslash{}c\textasciitilde{}\textasciicircum{}\{\$\#\} &"
    assert escaped in texts.to_tex(table)


@pytest.mark.parametrize(
    ("text", "markdown", "tex"),
    [
        ("soft_max", "soft_max", r"soft\_max"),
        ("_x_", r"\_x\_", r"\_x\_"),
        ("__x__", r"\_\_x\_\_", r"\_\_x\_\_"),
        ("a--b", "a--b", "a-{}-b"),
        ("*<b>`", r"\*\<b>\`", r"*\textless{}b\textgreater{}`"),
        ("-2.5 [-3.2, -1.8]*", r"-2.5 [-3.2, -1.8]\*", "-2.5 [-3.2, -1.8]*"),
    ],
)
def test_what_would_format_is_escaped_and_nothing_else(text, markdown, tex):
    assert texts.escaped_markdown(text) == markdown
    assert texts.escaped_tex(text) == tex


@settings(max_examples=60, deadline=None)
@given(st.floats(-1, 1))
def test_percent_is_the_rounded_number_and_zero_has_no_sign(value):
    text = percent(value, signed=True)
    assert float(text) == pytest.approx(100 * value, abs=0.05 + 1e-9)
    assert text == "0.0" if float(text) == 0 else text[0] in "+-"


def test_simcal_groups_stand_in_the_headers():
    keys = ["AP", "AP50", "AP75", "fixed/AP", "fixed/simcal/AP1"]
    keys += [f"simcal/AP{number}" for number in range(1, 5)]
    values = dict.fromkeys(keys, 0.25) | {"simcal/AP4": None} | SIZES
    found = tables.box_tables({"m": values}, "m", SIMCAL)
    assert texts.to_markdown(found).splitlines()[0] == (
        "| method | AP | ΔAP | AP [1,20) | ΔAP [1,20) | AP [20,400) | ΔAP [20,400) "
        "| AP [400,8000) | ΔAP [400,8000) | AP [8000,∞) | ΔAP [8000,∞) | AP-fixed "
        "| AP-fixed [1,20) |"
    )
    assert "AP$_{[8000,\\infty)}$ & " in texts.to_tex(found)
    assert "AP$_{[1,20)}^{\\mathrm{fixed}}$ \\\\" in texts.to_tex(found)
    assert texts.to_csv(found).startswith(
        "method,AP,delta_AP,simcal_AP1,delta_simcal/AP1,".replace("/", "_")
    )


def with_masks(values):
    masks = {f"segm/{k}": None if v is None else v / 2 for k, v in values.items()}
    return values | masks


def test_masks_have_a_table_of_their_own():
    found = {m: with_masks(metrics(*[ap] * len(KEYS))) for m, ap in (("a", 0.4), ("b", 0.5))}
    text = texts.to_csv(tables.mask_tables(found, "a", LVIS)).splitlines()
    assert text[0].endswith("delta_APf,fixed_AP,fixed_APr,AP50,AP75,APs,APm,APl,AR300")
    assert text[1] == "a,20.0,0.0,20.0,0.0,20.0,0.0,20.0,0.0,20.0,20.0,20.0,20.0,5.0,10.0,,25.0"
    assert text[2].startswith("b,25.0,5.0,25.0,")
    assert "segm" not in texts.to_csv(tables.box_tables(found, "a", LVIS))


def test_a_method_without_masks_is_not_in_their_table():
    found = {"boxes": metrics(*[0.4] * len(KEYS)), "masks": with_masks(metrics(*[0.4] * len(KEYS)))}
    table = tables.mask_tables(found, "boxes", LVIS)[0]
    assert list(table.rows) == ["masks"]
    assert table.rows["masks"]["delta_AP"] is None
    assert tables.mask_tables({"boxes": found["boxes"]}, "boxes", LVIS) == []
