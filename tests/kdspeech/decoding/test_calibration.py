"""Calibration recovers what distorted the confidences, and its error is what can be counted by hand."""

import math

import numpy as np
import pytest

from kdspeech.decoding.calibration import Calibration, expected_calibration_error, fit_platt, fit_temperature
from kdspeech.hypothesis import Hypothesis


def test_platt_scaling_recovers_a_known_distortion() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, 20_000)
    confidences = 1 / (1 + np.exp(-logits))
    correct = rng.random(len(logits)) < 1 / (1 + np.exp(-(0.5 * logits - 1)))

    fitted = fit_platt(confidences.tolist(), correct.tolist())

    assert (fitted.method, fitted.num_utterances, fitted.num_correct) == ("platt", 20_000, int(correct.sum()))
    assert (fitted.slope, fitted.intercept) == pytest.approx((0.5, -1.0), abs=0.05)
    too_high = logits > -2  # there 0.5 x logit - 1 is lower
    surer, right = confidences[too_high], correct[too_high].tolist()
    after = [fitted.apply(Hypothesis("", (), 0.0, float(c))).confidence for c in surer]
    assert expected_calibration_error(after, right) < 0.02
    assert expected_calibration_error(surer.tolist(), right) > 0.15


def test_a_confidence_is_lowered_or_left_alone() -> None:
    """Of speakers heard in training 97 % were right at 90 %: that says nothing of a new one."""
    raising = fit_platt([0.9] * 100, [True] * 97 + [False] * 3)
    lowering = fit_platt([0.9] * 100, [True] * 50 + [False] * 50)
    hypothesis = Hypothesis("a", (), 0.0, 0.9)
    assert raising.apply(hypothesis).confidence == 0.9
    assert lowering.apply(hypothesis).confidence == pytest.approx(0.5, abs=0.02)
    assert Calibration("temperature", 1, 1, temperature=0.3).softening == 1.0
    assert Calibration("temperature", 1, 1, temperature=3.0).softening == 3.0


@pytest.mark.parametrize("right", [True, False])
@pytest.mark.parametrize("count", [0, 1, 100])
def test_platt_scaling_is_finite_where_all_is_right_or_wrong(right: bool, count: int) -> None:
    fitted = fit_platt([0.9] * count, [right] * count)
    confidence = fitted.apply(Hypothesis("", (), 0.0, 0.9)).confidence
    assert math.isfinite(fitted.slope + fitted.intercept)
    if count == 0:
        assert confidence == pytest.approx(0.9)
    elif count == 100:  # Platt's labels: 101/102 where all are right, 1/102 where all are wrong; 0.9 is not raised
        assert fitted.slope * math.log(9) + fitted.intercept == pytest.approx(
            (1 if right else -1) * math.log(101), abs=0.1
        )
        assert confidence == pytest.approx(0.9 if right else 1 / 102, abs=1e-3)


def test_platt_scaling_reaches_the_whole_list_and_keeps_its_ends() -> None:
    others = tuple(Hypothesis(text, (), 0.0, c) for text, c in (("a", 1.0), ("b", 0.5), ("c", 0.0)))
    scaled = Calibration("platt", 1, 1, slope=2.0, intercept=-1.0).apply(Hypothesis("a", (), 0.0, 1.0, others))
    assert [h.confidence for h in scaled.n_best] == pytest.approx([1.0, 1 / (1 + math.e), 0.0], abs=1e-9)
    assert [h.text for h in scaled.n_best] == ["a", "b", "c"]


@pytest.mark.parametrize("temperature", [0.3, 1.0, 6.0])
def test_the_temperature_that_made_the_scores_is_found(temperature: float) -> None:
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 1.5, (6_000, 8))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    right = [int(rng.choice(8, p=row)) for row in shares]

    fitted = fit_temperature([row * temperature for row in logits], right)

    assert fitted.temperature == pytest.approx(temperature, rel=0.06)
    assert fitted.num_correct == int((logits.argmax(axis=1) == np.array(right)).sum())


def test_words_outside_the_list_say_nothing_of_the_temperature() -> None:
    rows = [np.array([3.0, 0.0]), np.array([0.0, 1.0])]
    assert fit_temperature(rows, [None, None]) == Calibration("temperature", 0, 0)
    assert fit_temperature(rows, [0, None]) == fit_temperature(rows[:1], [0])


def test_the_calibration_error_counted_by_hand() -> None:
    confidences = [0.95, 0.95, 0.55, 0.55, 1.0, 0.0]
    correct = [True, False, True, True, True, False]
    # top bin (0.95, 0.95, 1.0; two right): |2.90 - 2|; the bin from 0.5: |1.10 - 2|; the lowest: 0
    assert expected_calibration_error(confidences, correct) == pytest.approx((0.90 + 0.90) / 6)
    assert expected_calibration_error([], []) == 0.0
