"""Axes and charts: what stands where, and the numbers beneath."""

import numpy as np
import pytest

from kdspeech.report.bar_chart import Bar, BarChart, BarGroup
from kdspeech.report.line_chart import Line, Point, line_chart
from kdspeech.report.scale import Scale, scale_over


def test_places_and_round_labels() -> None:
    scale = Scale(0.0, 4.0)
    assert (scale.place(0), scale.place(1), scale.place(4), scale.place(9)) == (0.0, 0.25, 1.0, 1.0)
    assert scale.ticks(4) == ((0.0, "0"), (0.25, "1"), (0.5, "2"), (0.75, "3"), (1.0, "4"))


def test_a_logarithmic_axis_labels_powers() -> None:
    scale = scale_over([0.01, 0.0, 1000.0], logarithmic=True)
    assert [label for _, label in scale.ticks()] == ["0.01", "0.1", "1", "10", "100", "1000"]
    assert scale.place(0.1) == pytest.approx(0.2)


def test_epochs_are_labelled_by_whole_numbers() -> None:
    assert [label for _, label in scale_over(range(1, 8)).ticks(6)] == ["1", "2", "3", "4", "5", "6", "7"]
    assert all(float(label).is_integer() for _, label in scale_over([1, 15]).ticks(6))


@pytest.mark.parametrize("values", [[], [3.0], [float("nan"), 2.0], [0.0, 0.0]])
def test_every_axis_has_a_length(values: list[float]) -> None:
    scale = scale_over(values)
    assert scale.high > scale.low
    assert all(0 <= place <= 1 for place, _ in scale.ticks())


def test_lines_share_a_table_of_numbers() -> None:
    chart = line_chart(
        "Loss", "epoch", "loss", [Line("a", [Point(1, 2.0), Point(2, 1.0)]), Line("b", [Point(2, 0.5, 0.4, 0.6, "9")])]
    )
    assert chart.columns == ("epoch", "a", "b")
    assert chart.rows == [("1", "2", "–"), ("2", "1", "0.5 (0.4 to 0.6), 9")]
    assert "a from 2 to 1" in chart.description


def test_a_logarithmic_chart_leaves_out_what_it_cannot_show() -> None:
    chart = line_chart("Moved", "epoch", "change", [Line("encoder", [Point(1, 0.0), Point(2, 0.1)])], logarithmic=True)
    assert [point.x for point in chart.lines[0].points] == [2]


def test_bars_read_as_a_table_and_as_a_sentence() -> None:
    chart = BarChart("WRA", [BarGroup("ann", [Bar("vote", 50.0, 40.0, 60.0)]), BarGroup("bob", [])])
    assert chart.columns == ("system", "ann", "bob")
    assert chart.rows == [("vote", "50.0 (40.0 to 60.0)", "–")]
    assert "ann: vote 50.0" in chart.description


def test_places_keep_order() -> None:
    scale = Scale(0.001, 10.0, logarithmic=True)
    places = [scale.place(value) for value in np.geomspace(0.001, 10, 9)]
    assert places == pytest.approx(np.linspace(0, 1, 9))
