"""Pictures: every bar as long as its value, every point where its value is, nothing on top of another."""

from xml.etree import ElementTree

import pytest

from kdspeech.report.bar_chart import Bar, BarChart, BarGroup
from kdspeech.report.line_chart import Line, LineChart, Point
from kdspeech.report.picture import draw_bars, draw_lines, spread
from kdspeech.report.scale import Scale

SVG = "{http://www.w3.org/2000/svg}"


def elements(svg: str, name: str, style: str = "") -> list[ElementTree.Element]:
    return [e for e in ElementTree.fromstring(svg).iter(f"{SVG}{name}") if style in (e.get("class") or "")]


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in elements(svg, "text")]


def test_bars_are_as_long_as_their_values() -> None:
    groups = [
        BarGroup("ann", [Bar("vote", 50.0, 50.0, 50.0, 1), Bar("student", 100.0, 100.0, 100.0)]),
        BarGroup("bob & co", [Bar("student", 25.0, 20.0, 30.0)]),
    ]
    svg = draw_bars(BarChart("WRA", groups), note="a note")
    full = {float(e.get("width", "0")) for e in elements(svg, "rect", "track")}
    assert len(full) == 1
    (length,) = full
    drawn = [float(e.get("width", "0")) / length for e in elements(svg, "rect", "kind")]
    assert drawn == pytest.approx([0.5, 1.0, 0.25], abs=0.002)
    assert {"ann", "bob & co", "vote", "student", "50.0", "100.0", "25.0", "–", "a note"} < set(texts(svg))
    (whisker,) = elements(svg, "path", "whisker")  # only where low and high differ
    start, end = (float(x) for x in (whisker.get("d") or "").replace("M", "").replace("H", " ").split()[::2])
    assert (end - start) / length == pytest.approx(0.1, abs=0.002)


def test_many_groups_go_into_several_panels() -> None:
    groups = [BarGroup(f"s{i}", [Bar("student", 10.0, 10.0, 10.0)]) for i in range(16)]
    svg = draw_bars(BarChart("WRA", groups))
    assert len({e.get("x") for e in elements(svg, "rect", "track")}) == 8
    assert len({e.get("y") for e in elements(svg, "rect", "track")}) == 2


def test_points_stand_at_their_values_and_lines_are_named() -> None:
    scale = Scale(0.0, 100.0)
    lines = [Line("vote", [Point(0, 0), Point(100, 100)]), Line("student", [Point(50, 50), Point(100, 99)])]
    chart = LineChart("caption", "agreement (%)", "right (%)", lines, scale, scale, (), True)
    svg = draw_lines(chart, beneath=("utterances:", [(50.0, "1,234")]))
    x, y = ([float(e.get(axis, "0")) for e in elements(svg, "circle")] for axis in ("cx", "cy"))
    assert x[2] == pytest.approx((x[0] + x[1]) / 2)
    assert y[2] == pytest.approx((y[0] + y[1]) / 2)
    assert y[3] == pytest.approx(y[1] + 0.01 * (y[0] - y[1]), abs=0.1)
    names = elements(svg, "text", "name")
    assert [e.text for e in names] == ["vote", "student"]
    assert float(names[1].get("y", "0")) - float(names[0].get("y", "0")) == pytest.approx(16, abs=0.1)
    assert {"agreement (%)", "right (%)", "utterances:", "1,234"} < set(texts(svg))
    assert "prefers-color-scheme: dark" in svg


def test_spread_keeps_the_order_and_moves_no_more_than_it_must() -> None:
    assert spread([10, 50], 16) == [10, 50]
    assert spread([30, 30], 16) == [22, 38]
    assert spread([40, 30], 16) == [43, 27]
    assert spread([0, 10, 20, 100], 10) == [0, 10, 20, 100]
    assert spread([0, 2, 14], 12) == pytest.approx([16 / 3 - 12, 16 / 3, 16 / 3 + 12])
    assert spread([], 10) == []
