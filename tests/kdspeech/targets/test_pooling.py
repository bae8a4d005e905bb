"""Pooling against values worked out by hand."""

import numpy as np
import pytest

from kdspeech.logspace import LOG_ZERO, normalise
from kdspeech.targets.pooling import (
    POOLINGS,
    agreement_weights,
    confidence,
    frame_map,
    frame_mask,
    logprob_mean,
    pool,
    prob_mean,
    temper,
    uniform_weights,
)

HALVES = np.array([0.5, 0.5], dtype=np.float32)


def logs(*probabilities: float) -> np.ndarray:
    """One row [1, C]."""
    with np.errstate(divide="ignore"):
        return np.maximum(np.log(np.array([probabilities], dtype=np.float32)), LOG_ZERO)


def test_prob_mean_is_a_mixture() -> None:
    pooled = prob_mean(np.stack([logs(0.8, 0.2, 0.0), logs(0.2, 0.2, 0.6)]), np.array([0.75, 0.25]))
    assert np.exp(pooled[0]) == pytest.approx([0.65, 0.2, 0.15], abs=1e-6)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("pooling", sorted(POOLINGS))
def test_a_teacher_of_weight_0_has_no_say(pooling: str) -> None:
    weights = agreement_weights(["one", "", "one"])
    assert weights.tolist() == [0.5, 0.0, 0.5]
    said = np.stack([logs(0.8, 0.2, 0.0), logs(0.0, 0.0, 1.0), logs(0.4, 0.5, 0.1)])
    expected = POOLINGS[pooling](said[[0, 2]], weights[[0, 2]])
    np.testing.assert_array_equal(POOLINGS[pooling](said, weights), expected)


def test_logprob_mean_is_the_normalised_geometric_mean() -> None:
    pooled = logprob_mean(np.stack([logs(0.8, 0.2), logs(0.2, 0.8)]), HALVES)
    assert np.exp(pooled[0]) == pytest.approx([0.5, 0.5])
    pooled = logprob_mean(np.stack([logs(0.9, 0.1), logs(0.5, 0.5)]), HALVES)
    assert np.exp(pooled[0]) == pytest.approx([0.75, 0.25])  # odds sqrt(9 * 1) = 3


def test_logprob_mean_keeps_only_what_all_allow() -> None:
    pooled = logprob_mean(np.stack([logs(0.5, 0.5, 0.0), logs(0.0, 0.5, 0.5)]), HALVES)
    assert np.exp(pooled[0]) == pytest.approx([0.0, 1.0, 0.0], abs=1e-6)
    assert np.isfinite(pooled).all()


def test_logit_mean_of_true_logits_is_logprob_mean() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(scale=3, size=(4, 7, 5)).astype(np.float32)  # [K, T, C]
    weights = np.array([0.4, 0.3, 0.2, 0.1], dtype=np.float32)
    mean = np.einsum("k,ktc->tc", weights.astype(np.float64), logits.astype(np.float64))
    expected = np.exp(mean) / np.exp(mean).sum(axis=-1, keepdims=True)
    assert np.exp(POOLINGS["logit_mean"](normalise(logits), weights)) == pytest.approx(expected, abs=1e-5)
    assert np.exp(logprob_mean(normalise(logits), weights)) == pytest.approx(expected, abs=1e-5)


def test_temperature_of_log_probs_is_that_of_logits() -> None:
    logits = np.array([[2.0, -1.0, 0.5]], dtype=np.float32)
    assert temper(normalise(logits), 2.0) == pytest.approx(normalise(logits / 2.0), abs=1e-6)
    assert np.exp(temper(logs(0.9, 0.1), 2.0)[0]) == pytest.approx([0.75, 0.25])


def test_teachers_are_tempered_before_they_are_mixed() -> None:
    pooled = pool([logs(0.9, 0.1), logs(0.5, 0.5)], HALVES, "prob_mean", temperature=2.0)
    assert np.exp(pooled[0]) == pytest.approx([0.625, 0.375])  # (0.75 + 0.5) / 2; after mixing it would be 0.604


@pytest.mark.parametrize("pooling", sorted(POOLINGS))
def test_equal_teachers_pool_to_themselves(pooling: str) -> None:
    rows = normalise(np.random.default_rng(1).normal(size=(6, 4)).astype(np.float32))
    assert pool([rows, rows, rows], uniform_weights("abc"), pooling, 1.0) == pytest.approx(rows, abs=1e-5)


def test_weights() -> None:
    assert uniform_weights(["one", "two"]) == pytest.approx([0.5, 0.5])
    assert agreement_weights(["one", "one", "two"]) == pytest.approx([0.4, 0.4, 0.2])  # 2 : 2 : 1
    assert confidence(["one", "one", "two"]) == pytest.approx(2 / 3)
    assert confidence(["one"]) == 1.0


def test_teachers_that_hear_nothing_do_not_confirm_each_other() -> None:
    assert agreement_weights(["", "", "two"]) == pytest.approx([0.0, 0.0, 1.0])
    assert agreement_weights(["", ""]) == pytest.approx([0.5, 0.5])
    assert confidence(["", "", "two"]) == pytest.approx(1 / 3)
    assert confidence(["", ""]) == 0.0


@pytest.mark.parametrize(
    ("dilation", "expected"),
    [(0, [0, 0, 0, 1, 0, 0, 0, 0, 1]), (1, [0, 0, 1, 1, 1, 0, 0, 1, 1]), (2, [0, 1, 1, 1, 1, 1, 1, 1, 1])],
)
def test_the_mask_keeps_spikes_and_their_neighbours(dilation: int, expected: list[int]) -> None:
    blank = np.log(np.array([0.99, 0.99, 0.96, 0.3, 0.97, 0.99, 0.95, 0.99, 0.94], dtype=np.float64))
    assert frame_mask(blank, 0.95, dilation).tolist() == [bool(kept) for kept in expected]


def test_a_wide_dilation_on_a_short_recording() -> None:
    assert frame_mask(np.log(np.array([0.99, 0.5])), 0.95, 5).tolist() == [True, True]
    assert frame_mask(np.log(np.array([0.99, 0.99])), 0.95, 5).tolist() == [False, False]


def test_a_row_more_is_the_same_time() -> None:
    """SpeechBrain rounds the number of frames up, NeMo down: the rows of one frame shift stand under each other."""
    assert frame_map(np.zeros(22), 21, 1.0).tolist() == list(range(21))
    assert frame_map(np.zeros(21), 22, 1.0).tolist() == [*range(21), 20]


def test_frames_map_to_the_nearest_in_time() -> None:
    assert frame_map(np.zeros(4), 8, 0.5).tolist() == [0, 1, 1, 2, 2, 3, 3, 3]  # halfway: the later one
    assert frame_map(np.zeros(8), 4, 2.0).tolist() == [0, 2, 4, 6]  # of rows that are alike
    assert frame_map(np.zeros(9), 3, 3.0).tolist() == [0, 3, 6]


def blanks(num_rows: int, *spikes: int) -> np.ndarray:
    """[T] log-probs of the blank: 0.99, and 0.1 on the spikes."""
    probs = np.full(num_rows, 0.99)
    probs[list(spikes)] = 0.1
    return np.log(probs)


def test_a_coarse_frame_takes_the_spike_that_it_spans() -> None:
    """Frame i of 2 rows spans rows 2i - 1 and 2i: rows 3 and 8 have spikes, and row 7's lies in the same frame as 8."""
    assert frame_map(blanks(10, 3, 8), 5, 2.0).tolist() == [0, 2, 3, 6, 8]
    assert frame_map(blanks(10, 7, 8), 5, 2.0).tolist() == [0, 2, 4, 6, 8]  # of two that are alike the nearest
    assert frame_map(blanks(7, 2, 4), 3, 3.0).tolist() == [0, 2, 6]  # 2-4: the first; 5-6 have none
    assert frame_map(blanks(3, 1), 4, 2.0).tolist() == [0, 1, 2, 2]  # behind the last row stands the last row


def test_a_fine_frame_takes_the_nearest_row_whatever_it_says() -> None:
    """A recording that is played faster passes over a row now and then."""
    assert frame_map(blanks(6, 2), 4, 1.4).tolist() == [0, 1, 3, 4]


@pytest.mark.parametrize("rows_per_frame", [1.5, 1.8, 2.0, 2.2, 4.0])
def test_no_spike_is_lost_where_each_frame_spans_one_at_most(rows_per_frame: float) -> None:
    num_rows = 200
    spikes = np.arange(3, num_rows - 8, 9)  # apart by more than any frame spans
    taken = frame_map(blanks(num_rows, *spikes), int(num_rows / rows_per_frame), rows_per_frame)
    assert set(spikes) <= set(taken.tolist())
    assert (np.abs(taken - np.arange(len(taken)) * rows_per_frame) <= rows_per_frame / 2 + 1e-6).all()


@pytest.mark.parametrize("speed", [0.8, 0.9, 1.1, 1.25])
def test_what_is_played_faster_passes_its_rows_faster(speed: float) -> None:
    rows, count = 100, round(100 / speed)
    for frame, row in enumerate(frame_map(np.zeros(rows), count, speed).tolist()):
        assert row == rows - 1 or abs(row - frame * speed) <= 0.5 + 1e-6
