"""Forced alignment against every path written out, and spikes whose frames are known."""

import itertools

import numpy as np
import pytest

from kdspeech.decoding.forced_alignment import forced_alignment, share_of_displaced_spikes, spike_times_s
from kdspeech.errors import KdspeechError
from tests.doubles import peaked_log_probs

BLANK = 3


def _best_by_trying(log_probs: np.ndarray, token_ids: list[int]) -> tuple[float, tuple[int, ...]]:
    """The likeliest of all column sequences that collapse to the text."""
    paths = [
        path
        for path in itertools.product(range(BLANK + 1), repeat=len(log_probs))
        if [column for column, _ in itertools.groupby(path) if column != BLANK] == token_ids
    ]
    return max((float(log_probs[range(len(path)), path].sum()), path) for path in paths)


@pytest.mark.parametrize("token_ids", [[0], [0, 1], [2, 2], [1, 1, 0]])
@pytest.mark.parametrize("seed", range(5))
def test_the_alignment_is_the_likeliest_path(token_ids: list[int], seed: int) -> None:
    logits = np.random.default_rng(seed).normal(scale=2, size=(6, BLANK + 1))
    log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    _, path = _best_by_trying(log_probs, token_ids)
    runs, frame = [], 0
    for column, run in itertools.groupby(path):
        length = len(list(run))
        if column != BLANK:
            runs.append((frame, frame + length))
        frame += length
    assert forced_alignment(log_probs, token_ids) == runs


def test_a_text_that_does_not_fit_has_no_alignment() -> None:
    rows = peaked_log_probs([0, 0], BLANK + 1, 0.7)
    assert forced_alignment(rows, [0, 1, 2]) is None
    assert forced_alignment(rows, [0, 0]) is None  # a blank has to stand between
    assert spike_times_s(rows, [0, 0], 0.02) is None
    assert forced_alignment(rows, [0, 1]) == [(0, 1), (1, 2)]


def test_no_tokens_take_no_frames() -> None:
    assert forced_alignment(peaked_log_probs([0, 0], BLANK + 1, 0.7), []) == []


def test_a_spike_is_the_best_frame_of_its_token() -> None:
    rows = np.log(np.array([[0.1, 0.1, 0.8], [0.5, 0.1, 0.4], [0.8, 0.1, 0.1], [0.1, 0.2, 0.7], [0.1, 0.6, 0.3]]))
    assert forced_alignment(rows, [0, 1]) == [(1, 3), (4, 5)]
    assert spike_times_s(rows, [0, 1], 0.02) == pytest.approx([0.05, 0.09])  # the middles of frames 2 and 4


def test_displaced_spikes_are_counted_by_frames_of_the_student() -> None:
    reference = (np.array([1, 5, 9, 20]) + 0.5) * 0.02
    times = (np.array([1, 6, 11, 23]) + 0.5) * 0.02  # 0, 1, 2 and 3 frames late
    shares = [share_of_displaced_spikes(times, reference, 0.02, tolerance) for tolerance in range(4)]
    assert shares == [0.75, 0.5, 0.25, 0.0]
    assert share_of_displaced_spikes(reference, times, 0.02) == 0.75


def test_frame_rates_may_differ() -> None:
    coarse = (np.array([1, 3]) + 0.5) * 0.04  # 60 and 140 ms
    fine = (np.array([2, 6]) + 0.5) * 0.02  # 50 and 130 ms: within the coarse frames
    assert share_of_displaced_spikes(fine, coarse, 0.02) == 0.0
    assert share_of_displaced_spikes(fine + 0.02, coarse, 0.02) == 0.0
    assert share_of_displaced_spikes(fine - 0.02, coarse, 0.02) == 1.0


def test_spikes_of_other_tokens_are_not_compared() -> None:
    with pytest.raises(KdspeechError, match="2 tokens with those of 3"):
        share_of_displaced_spikes(np.zeros(2), np.zeros(3), 0.02)
