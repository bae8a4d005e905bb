"""Reliability and length: points counted by hand."""

import pytest

from kdspeech.evaluation.results import DecodedUtterance
from kdspeech.run_report.conditions import reliability, wra_by_length
from kdspeech.utterance import Utterance


def _answers(count: int, right: int, confidence: float | None, first: int = 0) -> list[DecodedUtterance]:
    return [
        DecodedUtterance(f"u{first + n}", "ann", "", "", "one", "one", n < right, 0.0, confidence) for n in range(count)
    ]


def test_a_bin_stands_at_its_confidence_and_its_share_of_right_answers() -> None:
    drawn = reliability({"a": _answers(10, 3, 0.85) + _answers(8, 8, 0.31) + _answers(4, 4, 0.55)})
    assert drawn is not None
    assert drawn.diagonal
    points = [(point.x, point.y, point.note) for point in drawn.lines[0].points]
    assert points == [
        (pytest.approx(31), pytest.approx(100), "8 utterances"),
        (pytest.approx(85), pytest.approx(30), "10 utterances"),  # four answers are too few for a point of their own
    ]
    error = (8 * 0.69 + 4 * 0.45 + 10 * 0.55) / 22
    assert drawn.lines[0].name == f"a, calibration error {100 * error:.1f} %"
    low, high = drawn.lines[0].points[1].low, drawn.lines[0].points[1].high
    assert low is not None
    assert high is not None
    assert low < 30 < high


def test_without_confidence_there_is_nothing_to_draw() -> None:
    assert reliability({"a": _answers(10, 3, None)}) is None


def test_long_and_short_recordings() -> None:
    answers = _answers(40, 0, None) + _answers(40, 40, None, first=40)
    spoken = {f"u{n}": Utterance(f"u{n}", "x.wav", 1.0 + n / 80, "one", "ann", "test") for n in range(80)}
    drawn = wra_by_length({"a": answers}, spoken)
    assert drawn is not None
    points = drawn.lines[0].points
    assert [point.y for point in points] == [0.0] * 4 + [100.0] * 4
    assert all(point.note == "10 utterances" for point in points)
    assert points[0].x == pytest.approx(1 + 4.5 / 80)
    assert wra_by_length({"a": answers}, {}) is None
