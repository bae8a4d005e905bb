import numpy as np
import pytest

from kdspeech.padded_batches import padded_batches


def _waveforms(*lengths: int) -> list[np.ndarray]:
    """Waveform i holds i + 1 in each sample."""
    return [np.full(length, i + 1, dtype=np.float32) for i, length in enumerate(lengths)]


def test_each_waveform_comes_once_with_its_neighbours_in_length_and_zeros_after_its_end() -> None:
    first, second = padded_batches(_waveforms(4, 1, 3), size=2)
    assert [first.numbers, second.numbers] == [[1, 2], [0]]
    assert [first.signal.tolist(), second.signal.tolist()] == [[[2, 0, 0], [3, 3, 3]], [[1, 1, 1, 1]]]
    assert [first.lengths.tolist(), second.lengths.tolist()] == [[1, 3], [4]]


@pytest.mark.parametrize(
    ("max_samples", "expected"),
    [(9, [[1, 2], [0], [3]]), (8, [[1, 2], [0], [3]]), (5, [[1], [2], [0], [3]]), (30, [[1, 2, 0], [3]])],
)
def test_a_batch_is_not_padded_beyond_the_limit_unless_one_waveform_is(
    max_samples: int, expected: list[list[int]]
) -> None:
    batches = padded_batches(_waveforms(5, 2, 3, 20), size=8, max_samples=max_samples)
    assert [batch.numbers for batch in batches] == expected


def test_nothing_makes_no_batch() -> None:
    assert list(padded_batches([], size=2)) == []
