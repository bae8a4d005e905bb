"""Teachers laid upon each other: spikes whose frames are known, and what is left of them when they are pooled."""

import numpy as np
import pytest

from kdspeech.decoding.forced_alignment import spike_frames
from kdspeech.dumps.store import LogProbStore
from kdspeech.targets.aggregate import aggregate
from kdspeech.targets.aligning import aligned, moved_rows
from kdspeech.targets.pooling import pool
from kdspeech.workspace import Workspace
from tests.doubles import peaked_log_probs
from tests.dumped import recipe

BLANK = 2


def said(*columns: int) -> np.ndarray:
    return peaked_log_probs(columns, BLANK + 1, 0.9)


def greedy(log_probs: np.ndarray) -> list[int]:
    return log_probs.argmax(axis=1).tolist()


def test_teachers_that_spike_apart_say_nothing_together_until_they_are_aligned() -> None:
    early, late = said(2, 0, 2, 1, 2, 2, 2, 2, 2), said(2, 2, 2, 2, 0, 2, 2, 1, 2)
    halfway = [2, 2, 0, 2, 2, 2, 1, 2, 2]  # the median of frames 1, 2 and 4, and of 3, 6 and 7
    third = said(*halfway)
    weights = np.full(3, 1 / 3, dtype=np.float32)
    assert greedy(pool([early, late, third], weights, "logprob_mean", 1.0)) == [2] * 9  # two blanks outvote each token
    moved = aligned([early, late, third], [0, 1])
    assert [greedy(rows) for rows in moved] == [halfway] * 3
    assert greedy(pool(moved, weights, "logprob_mean", 1.0)) == halfway


def test_rows_are_moved_by_hand() -> None:
    # Two rows before the spike fill four frames, four rows behind it make two.
    assert moved_rows(np.array([2]), np.array([4]), 7).tolist() == [0, 0, 1, 1, 2, 4, 6]
    assert moved_rows(np.array([1, 4]), np.array([1, 4]), 6).tolist() == list(range(6))
    # No row lies before the first spike, none between the two: the token goes on.
    assert moved_rows(np.array([0, 1]), np.array([1, 3]), 6).tolist() == [0, 0, 0, 1, 3, 5]


@pytest.mark.parametrize("seed", range(5))
def test_every_spike_comes_to_stand_on_the_median_teacher_s(seed: int) -> None:
    logits = np.random.default_rng(seed).normal(scale=3, size=(3, 15, BLANK + 1))
    teachers = [rows - np.log(np.exp(rows).sum(axis=1, keepdims=True)) for rows in logits]
    text = [0, 1, 1, 0]
    spikes = np.array([spike_frames(rows, text) for rows in teachers])  # [3, U]: fifteen frames are enough
    guide = np.sort(spikes, axis=0)[1]
    for rows, own, moved in zip(teachers, spikes, aligned(teachers, text), strict=True):
        np.testing.assert_array_equal(moved[guide], rows[own])


def test_one_teacher_and_a_text_that_does_not_fit_stay_as_they_are() -> None:
    alone = said(2, 0, 2, 1)
    np.testing.assert_array_equal(aligned([alone], [0, 1])[0], alone)
    for rows, found in zip((alone, said(2, 2, 0, 1)), aligned([alone, said(2, 2, 0, 1)], [0] * 4), strict=True):
        np.testing.assert_array_equal(found, rows)


def test_targets_are_pooled_from_aligned_rows(workspace: Workspace) -> None:
    plain = aggregate(workspace, "dora", recipe(temperature=1.0))
    targets = aggregate(workspace, "dora", recipe(temperature=1.0, align=True))
    store, weights = LogProbStore(workspace.dumps_dir), np.full(3, 1 / 3, dtype=np.float32)
    num_moved = 0
    for utterance in (u for u in workspace.utterances if u.utt_id in targets):
        given = [store.read(name, "ctc", [utterance])[utterance.utt_id] for name in ("anna", "bert", "carl")]
        rows = [row for row in given if isinstance(row, np.ndarray)]
        pooled = pool(aligned(rows, workspace.vocabulary.encode(utterance.text)), weights, "logprob_mean", 1.0)
        found, before = targets[utterance.utt_id].ctc_log_probs, plain[utterance.utt_id].ctc_log_probs
        assert found is not None
        assert before is not None
        np.testing.assert_allclose(found, pooled, atol=1e-2)
        num_moved += not np.array_equal(found, before)
    assert num_moved > 0  # where a teacher hears another word, its best place for the transcript is elsewhere
