"""Plots are well-formed, escaped, free of inline styles, and true to their numbers."""

import math
import re
from itertools import pairwise

import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import given, settings
from hypothesis import strategies as st

from app.web.heatmaps import heat_plot
from app.web.numbers import money
from app.web.plots import Point, Row, Series, bar_plot, calibration_plot, interval_plot, line_plot
from app.web.shares import percent


@pytest.mark.parametrize(
    ("amount", "words"), [("0", "0.00"), ("458.4", "458.40"), ("0.003449", "0.0034"), ("0.040888", "0.041"), ("1234.5", "1,234.50")]
)  # fmt: skip
def test_money_has_the_digits_that_say_something(amount, words):
    assert money(amount) == words
    assert (percent(0.934), percent(-0.00041, 1)) == ("93 %", "0.0 %")


SVG = "{http://www.w3.org/2000/svg}"


def draw_all(rows):
    points = [Point(row.value, row.value, row.lo, row.hi, row.n) for row in rows]
    series = [Series(row.label, points, row.kind) for row in rows[:3]]
    return [
        line_plot(series, title="<t>", x_label="x", y_label="y", reference=0.5),
        bar_plot(rows, title="<t>", value_label="v", percent=True),
        interval_plot(rows, title="<t>", value_label="v", reference=0.0),
        calibration_plot(points, title="<t>"),
    ]


NUMBERS = st.one_of(st.floats(-1e6, 1e6), st.sampled_from([math.nan, math.inf, 0.0, 1e-9]))
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=60)
ROWS = st.builds(
    Row, TEXT, NUMBERS, st.none() | NUMBERS, st.none() | NUMBERS, st.none() | st.integers(0, 10**6)
)


@settings(max_examples=100, deadline=None)
@given(st.lists(ROWS, max_size=8))
def test_every_plot_is_well_formed_and_has_words_for_everyone(rows):
    for plot in draw_all(rows):
        for svg in filter(None, (plot.svg, plot.narrow)):
            root = fromstring(svg)
            assert root.find(f"{SVG}title").text == "<t>"
            assert root.find(f"{SVG}desc").text
            assert "style=" not in svg
            assert "nan" not in svg
            assert "inf" not in svg
        assert all(len(row) == len(plot.columns) for row in plot.rows)


def test_an_interval_is_drawn_to_scale():
    plot = interval_plot(
        [Row("a", 0.5, 0.25, 0.75, 10, "human"), Row("b", 1.0), Row("c", 0.0)], title="t", value_label="v"
    )
    root = fromstring(plot.svg)
    group = next(g for g in root.iter(f"{SVG}g") if g.find(f"{SVG}line") is not None)
    assert group.get("class") == "series-human"
    line, mark = group.find(f"{SVG}line"), group.find(f"{SVG}circle")
    middle = (float(line.get("x1")) + float(line.get("x2"))) / 2
    assert float(mark.get("cx")) == pytest.approx(middle, abs=0.11)
    assert plot.rows[0] == ["a", "0.5", "0.25", "0.75", "10"]


def test_shares_read_as_percentages():
    plot = bar_plot(
        [Row("people", 0.734, 0.7, 0.76, 1204)], title="t", value_label="Agreement (%)", percent=True
    )
    assert plot.rows == [["people", "73.4 %", "70.0 %", "76.0 %", "1,204"]]
    assert "73.4 % [70.0, 76.0]" in plot.svg
    assert "73.4 % [70.0, 76.0]" in plot.narrow  # a phone's picture says the same


def test_values_of_a_plot_have_the_same_digits_and_ticks_their_thousands_apart():
    svg = interval_plot(
        [Row("a", 0.072, 0.0603, 0.084), Row("b", -0.0001, -0.5, 1.11)], title="t", value_label="v"
    ).svg
    assert "0.072 [0.060, 0.084]" in svg
    assert "0.000 [−0.500, 1.110]" in svg
    assert ">1,100<" in interval_plot([Row("a", 1117, 1000, 1200)], title="t", value_label="v").svg


def test_labels_of_lines_that_meet_do_not_cover_each_other():
    series = [Series(name, [Point(0, 1), Point(1, 1)]) for name in ("one", "two", "three")]
    root = fromstring(line_plot(series, title="t", x_label="x", y_label="y").svg)
    places = sorted(float(t.get("y")) for t in root.iter(f"{SVG}text") if t.get("class") == "label-series")
    assert all(later - earlier >= 16.9 for earlier, later in pairwise(places))


def test_ticks_of_a_quarter_say_so():
    svg = interval_plot(
        [Row("a", 0.05, 0.03, 0.14, 9), Row("b", 0.1, 0.07, 0.12, 9)],
        title="t", value_label="v", percent=True,
    ).svg  # fmt: skip
    for words in ("2.5 %", "5.0 %", "7.5 %", "12.5 %"):
        assert f">{words}<" in svg


def test_a_heat_maps_numbers_keep_two_digits_below_zero_too():
    plot = heat_plot(
        ["a", "b", "c"], [[None, -0.064, -0.001], [0.5, None, 1.0], [-1.0, 0.0, None]], title="t"
    )
    for svg in (plot.svg, plot.narrow):
        for words in ("−.06", ".00", ".50", "1.0", "−1.0"):
            assert f">{words}<" in svg
        assert "−.00" not in svg


def test_a_heat_map_fits_a_phone_with_its_names_beneath():
    names = [f"annotator with a long name {n}" for n in range(12)]
    plot = heat_plot(names, [[0.5] * 12] * 12, title="t")
    width, height = map(int, re.search(r'viewBox="0 0 (\d+) (\d+)"', plot.narrow).groups())
    boxes = re.findall(r'<rect [^>]*x="([\d.]+)" y="([\d.]+)" width="([\d.]+)"', plot.narrow)
    assert (width, len(boxes)) == (360, 144)
    assert max(float(x) + float(w) for x, _, w in boxes) <= width
    assert [f"{n + 1} {name}" in plot.narrow for n, name in enumerate(names)] == [True] * 12
    assert max(float(y) for y in re.findall(r'<text [^>]*y="([\d.]+)"', plot.narrow)) < height
