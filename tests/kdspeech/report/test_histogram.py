"""Histograms: round bins that hold every value, and open ones for outliers."""

import numpy as np
import pytest

from kdspeech.report.histogram import histogram


def test_bins_are_round_and_hold_what_lies_in_them() -> None:
    drawn = histogram("Durations", "s", np.array([0.1, 0.15, 0.15, 0.3, 0.45]), num_bins=5)
    assert drawn.bins == (("0.1 to 0.2", 3), ("0.2 to 0.3", 0), ("0.3 to 0.4", 1), ("0.4 to 0.5", 1))
    assert (drawn.caption, drawn.unit) == ("Durations", "s")


def test_far_outliers_go_into_open_bins() -> None:
    values = np.concatenate([np.linspace(-30, -20, 1000), [-120, 0, 0]])
    drawn = histogram("Levels", "dBFS", values, num_bins=11)
    assert drawn.bins[0] == ("less than -30", 1)
    assert drawn.bins[-1] == ("-20 and more", 3)  # -20 itself, and the two at 0
    assert len(drawn.bins) == 12


@pytest.mark.parametrize("spread", [0.0, 1e-4, 0.37, 25.0, 4e5])
@pytest.mark.parametrize("middle", [-40.0, 0.0, 3.3])
def test_nothing_is_lost(spread: float, middle: float) -> None:
    values = np.random.default_rng(0).normal(middle, spread, 500)
    drawn = histogram("Values", "", values)
    assert sum(count for _, count in drawn.bins) == 500
    assert 1 <= len(drawn.bins) <= 27
    assert drawn.ticks[0][0] >= 0
    assert drawn.ticks[-1][0] <= 1


def test_ticks_stand_at_the_edges_they_name() -> None:
    drawn = histogram("Values", "s", np.arange(10) + 0.5, num_bins=10)
    assert drawn.ticks[0] == (0.0, "0")
    for place, label in drawn.ticks:
        assert place * 10 == pytest.approx(float(label))
