"""Units and intervals, against what their definitions give."""

import numpy as np
import pytest

from kdspeech.scoring.bootstrap import bootstrap_intervals, difference, macro, micro, observed
from kdspeech.scoring.units import SpeakerUnits, group_units


def speaker(name: str, right: int, wrong: int) -> SpeakerUnits:
    """Productions of one recording each."""
    return SpeakerUnits(name, np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([wrong, right]))


def test_utterances_become_productions_and_classes() -> None:
    right = np.array([[1, 0], [1, 1], [0, 0], [1, 0], [1, 1]], dtype=float)
    units = group_units(["a", "a", "b", "a", "a"], ["p", "p", "p", "q", "q"], right)

    assert [unit.speaker for unit in units] == ["a", "b"]
    # a's p and q have two recordings each, of which A has both right and B one: one class that stands twice
    assert units[0].values.tolist() == [[2, 2, 1]]
    assert (units[0].times.tolist(), units[0].num_productions, units[0].totals.tolist()) == ([2], 2, [4, 4, 2])
    assert units[1].values.tolist() == [[1, 0, 0]]


def test_without_productions_each_utterance_is_one() -> None:
    right = np.array([[1.0], [0.0], [1.0]])
    for productions in (None, ["", "", ""]):
        (unit,) = group_units(["a"] * 3, productions, right)
        assert (unit.values.tolist(), unit.times.tolist()) == ([[1, 0], [1, 1]], [1, 2])


def test_macro_and_micro_by_hand() -> None:
    sums = observed([speaker("a", 90, 10), speaker("b", 5, 5)])
    assert macro(1)(sums)[0] == pytest.approx(70.0)
    assert micro(1)(sums)[0] == pytest.approx(100 * 95 / 110)


def test_one_speaker_is_the_binomial_and_few_speakers_are_their_spread() -> None:
    (alone,) = bootstrap_intervals([speaker("a", 800, 200)], [macro(1)])
    error = 100 * np.sqrt(0.8 * 0.2 / 1000)
    assert (alone.low, alone.high) == (
        pytest.approx(80 - 1.96 * error, abs=0.3),
        pytest.approx(80 + 1.96 * error, abs=0.3),
    )

    everyone = [speaker(str(i), 10 * i, 1000 - 10 * i) for i in range(100)]
    (spread,) = bootstrap_intervals(everyone, [macro(1)])
    error = np.std(np.arange(100)) / np.sqrt(100)
    assert (spread.low, spread.high) == (
        pytest.approx(49.5 - 1.96 * error, abs=0.5),
        pytest.approx(49.5 + 1.96 * error, abs=0.5),
    )


def test_recordings_of_one_production_are_not_new_evidence() -> None:
    once = SpeakerUnits("a", np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([50, 50]))
    seven = SpeakerUnits("a", np.array([[7.0, 0.0], [7.0, 7.0]]), np.array([50, 50]))
    assert bootstrap_intervals([once], [macro(1)]) == bootstrap_intervals([seven], [macro(1)])


def test_what_is_hard_for_both_systems_cancels_out() -> None:
    values = np.array([[1.0, 0.0, 0.0], [1.0, 1.0, 1.0], [1.0, 0.0, 1.0]])
    speakers = [SpeakerUnits(str(i), values, np.array([90 - 9 * i, 10 + 9 * i, 5])) for i in range(10)]
    single, both = bootstrap_intervals(speakers, [macro(1), difference(macro)])
    assert single.high - single.low > 20
    assert both.high - both.low < 6
    assert both.low < difference(macro)(observed(speakers))[0] < both.high


def test_the_same_seed_draws_the_same() -> None:
    speakers = [speaker("a", 7, 3), speaker("b", 2, 8)]
    first, again, other = (bootstrap_intervals(speakers, [macro(1)], 500, seed) for seed in (1, 1, 2))
    assert first == again != other
