"""What tells other utterances' answers from wrong ones, and ids moved by one from wrong ids."""

from itertools import permutations

import numpy as np
import pytest

from kdspeech.diagnosis.pairing import helpful_shift, lengths_related, pair, shift_columns, shift_text
from kdspeech.vocabulary import Vocabulary

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def numbered(texts: list[str]) -> dict[str, str]:
    return {f"u{index}": text for index, text in enumerate(texts)}


def test_chance_is_the_mean_over_all_pairings() -> None:
    references, texts = ["a", "a", "b", "c", "b"], ["a", "b", "b", "d", ""]
    matches = [sum(r == h for r, h in zip(references, other, strict=True)) for other in permutations(texts)]
    found = pair(numbered(references), numbered(texts))
    assert found.chance == pytest.approx(np.mean(matches))
    assert found.deviation == pytest.approx(np.std(matches))
    assert (found.right, found.elsewhere) == (2, max(matches))


@pytest.mark.parametrize(
    ("texts", "is_random"),
    [
        ([DIGITS[(i * 7 + 3) // 5 % 10] for i in range(50)], True),  # each digit five times, in another order
        (sorted(DIGITS * 5), False),  # right
        (["one"] * 50, False),  # always the same
        ([""] * 50, False),
        (["noise"] * 50, False),
        ([*sorted(DIGITS * 5)[:20], *["noise"] * 30], False),  # weak, but at its place
    ],
)
def test_right_words_in_the_wrong_places(texts: list[str], is_random: bool) -> None:
    assert pair(numbered(sorted(DIGITS * 5)), numbered(texts)).is_random == is_random


def test_few_utterances_prove_nothing() -> None:
    assert not pair(numbered(["one", "two", "six"]), numbered(["two", "six", "one"])).is_random


def test_lengths_tell_pairings_apart() -> None:
    durations = [0.5 + 0.01 * i for i in range(50)]
    frames = [round(d / 0.04) + 1 for d in durations]
    assert lengths_related(frames, durations) is True
    assert lengths_related(list(np.random.default_rng(1).permutation(frames)), durations) is False
    assert lengths_related([2 * f for f in frames], durations) is True  # a wrong rate is no shuffle
    assert lengths_related([40] * 50, durations) is None  # padding is none either
    assert lengths_related(frames, [0.5] * 50) is None


def test_shifted_ids(vocabulary: Vocabulary) -> None:
    ids = vocabulary.encode("seven")
    assert shift_text(vocabulary, [i + 1 for i in ids], -1) == "seven"
    assert shift_text(vocabulary, [0], -1) == ""
    rows = np.eye(5, dtype=np.float32)
    assert (shift_columns(np.roll(rows, 1, axis=1), -1, with_last=True) == rows).all()
    moved = np.concatenate([np.roll(rows[:, :4], 1, axis=1), rows[:, 4:]], axis=1)
    assert (shift_columns(moved, -1, with_last=False) == rows).all()
    assert helpful_shift({-1: 90.0, 1: 5.0}.__getitem__, 10.0) == (-1, 90.0)
    assert helpful_shift({-1: 35.0, 1: 5.0}.__getitem__, 10.0) is None
