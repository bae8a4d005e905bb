"""The layout: where foreign columns go, and what is refused."""

import numpy as np
import pytest

from kdspeech.errors import TeacherError, VocabularyError
from kdspeech.logspace import LOG_ZERO
from kdspeech.teachers.layout import ColumnMap, check_num_frames
from kdspeech.vocabulary import Vocabulary


def spoken(column: int, columns: int) -> np.ndarray:
    """One row that is nearly sure of a column: log-probs [1, columns]."""
    probs = np.full(columns, 0.01 / (columns - 1))
    probs[column] = 0.99
    return np.log(probs)[None].astype(np.float32)


def test_blank_last_is_left_as_it_is(vocabulary: Vocabulary) -> None:
    size = vocabulary.size
    rows = spoken(5, size + 1)
    np.testing.assert_array_equal(ColumnMap.for_ctc("t", vocabulary, size + 1, size).apply(rows), rows)


def test_borrowed_blank_moves_to_the_end(vocabulary: Vocabulary) -> None:
    size = vocabulary.size
    ours = ColumnMap.for_ctc("t", vocabulary, size, 0).apply(np.vstack([spoken(0, size), spoken(7, size)]))
    assert ours.shape == (2, size + 1)
    np.testing.assert_array_equal(ours.argmax(axis=1), [size, 7])
    assert (ours[:, 0] == LOG_ZERO).all()
    np.testing.assert_allclose(np.exp(ours).sum(axis=1), 1.0, rtol=1e-5)


def test_blank_first_with_shifted_tokens_is_shifted_back(vocabulary: Vocabulary) -> None:
    size = vocabulary.size
    rows = np.vstack([spoken(0, size + 1), spoken(1 + 7, size + 1)])
    ours = ColumnMap.for_ctc("t", vocabulary, size + 1, 0).apply(rows)
    np.testing.assert_array_equal(ours, np.hstack([rows[:, 1:], rows[:, :1]]))


def test_end_of_sentence_moves_to_the_end(vocabulary: Vocabulary) -> None:
    size = vocabulary.size
    ours = ColumnMap.for_decoder("t", vocabulary, size, 2).apply(np.vstack([spoken(9, size), spoken(2, size)]))
    np.testing.assert_array_equal(ours.argmax(axis=1), [9, size])
    assert (ours[:, 2] == LOG_ZERO).all()


@pytest.mark.parametrize("off", [-1, 2])
def test_wrong_number_of_columns_is_refused(vocabulary: Vocabulary, off: int) -> None:
    columns = vocabulary.size + off
    with pytest.raises(VocabularyError, match=f"{columns} columns; its vocabulary has {vocabulary.size} pieces"):
        ColumnMap.for_ctc("t", vocabulary, columns, 0)


def test_output_of_another_width_is_refused(vocabulary: Vocabulary) -> None:
    layout = ColumnMap.for_ctc("t", vocabulary, vocabulary.size, 0)
    with pytest.raises(VocabularyError, match=rf"expected \[rows, {vocabulary.size}\]"):
        layout.apply(spoken(0, vocabulary.size + 1))


def test_blank_on_a_spoken_piece_is_refused(vocabulary: Vocabulary) -> None:
    with pytest.raises(VocabularyError, match=f"column 5 .*{vocabulary.pieces[5]}"):
        ColumnMap.for_ctc("t", vocabulary, vocabulary.size, 5)


def test_blank_first_read_as_blank_last_is_refused(vocabulary: Vocabulary) -> None:
    size = vocabulary.size
    rows = np.vstack([spoken(0, size + 1)] * 6 + [spoken(8, size + 1)] * 4)  # blank, blank, ..., one token
    with pytest.raises(TeacherError, match="most in column 0"):
        ColumnMap.for_ctc("t", vocabulary, size + 1, size).apply(rows)


def test_logits_are_refused(vocabulary: Vocabulary) -> None:
    layout = ColumnMap.for_ctc("t", vocabulary, vocabulary.size, 0)
    with pytest.raises(TeacherError, match="not log-probabilities"):
        layout.apply(spoken(0, vocabulary.size) + 1.0)


def test_nan_is_refused(vocabulary: Vocabulary) -> None:
    layout = ColumnMap.for_ctc("t", vocabulary, vocabulary.size, 0)
    with pytest.raises(TeacherError, match="NaN"):
        layout.apply(np.full((1, vocabulary.size), np.nan, dtype=np.float32))


def test_minus_infinity_becomes_log_zero(vocabulary: Vocabulary) -> None:
    size = vocabulary.size
    row = np.full((1, size + 1), -np.inf, dtype=np.float32)
    row[0, size] = 0.0
    ours = ColumnMap.for_ctc("t", vocabulary, size + 1, size).apply(row)
    assert ours[0, size] == 0.0
    assert (ours[0, :size] == LOG_ZERO).all()


@pytest.mark.parametrize("num_frames", [23, 25, 27])
def test_frame_counts_near_the_duration_pass(num_frames: int) -> None:
    check_num_frames("t", num_frames, num_samples=16_000, frame_shift_s=0.04)


@pytest.mark.parametrize("num_frames", [50, 13, 0])
def test_wrong_frame_count_is_refused(num_frames: int) -> None:
    with pytest.raises(TeacherError, match=f"{num_frames} frames for 1.000 s"):
        check_num_frames("t", num_frames, num_samples=16_000, frame_shift_s=0.04)
