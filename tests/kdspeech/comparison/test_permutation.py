"""Permutation tests against every sign pattern written out, and against the binomial."""

from collections import Counter
from fractions import Fraction
from itertools import product
from math import comb

import numpy as np
import pytest

from kdspeech.comparison import permutation
from kdspeech.comparison.permutation import PValue, flip_productions, flip_speakers


def enumerated(differences: list[Fraction]) -> float:
    """The p-value by the definition."""
    seen = abs(sum(differences, Fraction(0)))
    patterns = list(product((1, -1), repeat=len(differences)))
    as_far = sum(
        abs(sum((s * d for s, d in zip(signs, differences, strict=True)), Fraction(0))) >= seen for signs in patterns
    )
    return as_far / len(patterns)


@pytest.mark.parametrize("seed", range(5))
def test_both_units_against_all_sign_patterns(seed: int) -> None:
    rng = np.random.default_rng(seed)
    differences = [
        Fraction(int(a), int(b)) for a, b in zip(rng.integers(-4, 5, 11), rng.integers(1, 7, 11), strict=True)
    ]
    expected = pytest.approx(enumerated(differences), abs=1e-12)

    assert flip_speakers(np.array([float(d) for d in differences])).value == expected
    found = flip_productions(Counter(differences))
    assert found.value == expected
    assert found.method.startswith("exact")


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 6), (2, 10), (5, 5), (40, 70), (1, 0)])
def test_one_speaker_is_the_exact_mcnemar_test(only_a: int, only_b: int) -> None:
    total, fewer = only_a + only_b, min(only_a, only_b)
    binomial = min(1.0, 2 * sum(comb(total, k) for k in range(fewer + 1)) / 2**total)
    steps = {Fraction(1, 255): only_b, Fraction(-1, 255): only_a, Fraction(0): 100}
    assert flip_productions(steps).value == pytest.approx(binomial, abs=1e-12)


def test_six_speakers_can_show_a_difference_and_five_cannot() -> None:
    assert flip_speakers(np.full(6, 2.0)).value == 2 / 2**6
    assert flip_speakers(np.full(5, 2.0)).value == 2 / 2**5 > 0.05


def test_no_difference_is_no_evidence() -> None:
    assert flip_speakers(np.zeros(8)).value == 1.0
    assert flip_productions({Fraction(0): 9}).value == 1.0
    assert flip_speakers(np.array([1.0, -1.0])).value == 1.0


def test_what_is_too_large_is_drawn_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = {Fraction(k, 7 if k % 2 else 5): 20 for k in range(1, 6)} | {Fraction(-k, 7): 22 for k in range(1, 6)}
    speakers = np.linspace(-1.0, 2.0, 14)
    exact = flip_productions(steps), flip_speakers(speakers)
    monkeypatch.setattr(permutation, "_MAX_LATTICE", 1)
    monkeypatch.setattr(permutation, "_MAX_ENUMERATED", 1)

    drawn = flip_productions(steps), flip_speakers(speakers)

    for one, other in zip(exact, drawn, strict=True):
        assert other.method.startswith("Monte Carlo, 100,000 random sign patterns of")
        assert other.value == pytest.approx(one.value, abs=0.006)  # four standard errors
    assert flip_productions(steps) == drawn[0]  # seeded


def test_a_drawn_p_value_is_never_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permutation, "_MAX_LATTICE", 1)
    assert flip_productions({Fraction(1): 200}).value == 1 / 100_001


@pytest.mark.parametrize(("value", "text"), [(0.0312, "p = 0.031"), (2e-5, "p = 2e-05"), (1e-12, "p < 1e-12")])
def test_p_values_as_people_read_them(value: float, text: str) -> None:
    assert str(PValue(value, "exact")) == text
