"""Targets pooled over recordings of one label, by hand."""

import numpy as np
import pytest

from kdspeech.config import TargetConfig
from kdspeech.targets.label_targets import IndexTargets, LabelTargets, groups_of_label, groups_of_take, pool_by_index
from kdspeech.targets.target_set import Target
from kdspeech.utterance import Utterance


def utterance(utt_id: str, text: str, speaker: str, split: str = "train") -> Utterance:
    return Utterance(utt_id, f"{utt_id}.wav", 1.0, text, speaker, split)


def log(*rows: tuple[float, ...]) -> np.ndarray:
    return np.log(np.array(rows, dtype=np.float32))


UTTERANCES = [
    utterance("a1", "one", "anna"),
    utterance("a2", "one", "anna"),
    utterance("a3", "two", "anna"),
    utterance("b1", "one", "bert"),
    utterance("b2", "one", "bert", "valid"),
]


def test_a_label_is_that_of_its_split() -> None:
    groups = groups_of_label(UTTERANCES)
    assert groups["a1"] == groups["a2"] == groups["b1"] == ("a1", "a2", "b1")
    assert groups["a3"] == ("a3",)
    assert groups["b2"] == ("b2",)


def test_takes_are_counted_by_speaker() -> None:
    groups = groups_of_take(UTTERANCES)
    assert groups["a1"] == groups["b1"] == ("a1", "b1")
    assert groups["a2"] == ("a2",)


def test_rows_are_averaged_where_there_are_any() -> None:
    short, long = log((0.8, 0.2)), log((0.4, 0.6), (0.1, 0.9))
    np.testing.assert_allclose(np.exp(pool_by_index([short, long], "prob_mean")), [[0.6, 0.4], [0.1, 0.9]], rtol=1e-5)
    roots = np.sqrt([0.8 * 0.4, 0.2 * 0.6])
    np.testing.assert_allclose(
        np.exp(pool_by_index([short, long], "logprob_mean")), [roots / roots.sum(), [0.1, 0.9]], rtol=1e-5
    )


def target(utt_id: str, frames: np.ndarray, positions: np.ndarray, counts: bool = True) -> Target:
    return Target(utt_id, frames, np.ones(len(frames), dtype=bool), positions, 1.0, 2, counts)


def targets(counts: bool = True) -> dict[str, Target]:
    """Columns: a piece and the blank. a2 says the opposite of a1, and may not count."""
    frames = {"a1": log((0.9, 0.1), (0.5, 0.5)), "b1": log((0.3, 0.7), (0.1, 0.9), (0.0001, 0.9999))}
    positions = {"a1": log((0.9, 0.1)), "a2": log((0.1, 0.9)), "b1": log((0.5, 0.5))}
    return {
        u.utt_id: target(
            u.utt_id,
            frames.get(u.utt_id, log((0.2, 0.8))),
            positions.get(u.utt_id, log((0.7, 0.3))),
            counts or u.utt_id != "a2",
        )
        for u in UTTERANCES
    }


def test_a_labels_positions_are_the_mean_of_its_recordings() -> None:
    given = targets()
    pooled = LabelTargets(given, UTTERANCES, "prob_mean")
    for utt_id in ("a1", "a2", "b1"):
        found = pooled[utt_id]
        np.testing.assert_allclose(np.exp(found.decoder_log_probs), [[0.5, 0.5]], rtol=1e-5)  # type: ignore[arg-type]
        assert found.ctc_log_probs is given[utt_id].ctc_log_probs  # frames have no common time
    np.testing.assert_allclose(np.exp(pooled["b2"].decoder_log_probs), [[0.7, 0.3]], rtol=1e-5)  # type: ignore[arg-type]
    assert list(pooled) == list(given)


def test_what_does_not_count_has_no_voice_in_its_label() -> None:
    pooled = LabelTargets(targets(counts=False), UTTERANCES, "prob_mean")
    np.testing.assert_allclose(np.exp(pooled["a1"].decoder_log_probs), [[0.7, 0.3]], rtol=1e-5)  # type: ignore[arg-type]
    assert not pooled["a2"].counts


def test_frames_by_index_end_with_the_recording() -> None:
    """The predecessor's way: frame i of anna's first `one` with frame i of bert's."""
    given = targets()
    config = TargetConfig(pooling="prob_mean", over="index", dilation=0, blank_threshold=0.65)
    pooled = IndexTargets(given, given, UTTERANCES, config)
    anna, bert = pooled["a1"], pooled["b1"]
    means = [[0.6, 0.4], [0.3, 0.7], [0.0001, 0.9999]]
    np.testing.assert_allclose(np.exp(anna.ctc_log_probs), means[:2], rtol=1e-4)  # type: ignore[arg-type]
    np.testing.assert_allclose(np.exp(bert.ctc_log_probs), means, rtol=1e-4)  # type: ignore[arg-type]
    assert anna.frame_mask is not None
    assert anna.frame_mask.tolist() == [True, False]  # a blank of 0.4 and of 0.7, against 0.65
    np.testing.assert_allclose(np.exp(anna.decoder_log_probs), [[0.7, 0.3]], rtol=1e-5)  # type: ignore[arg-type]
    assert pooled["a2"].ctc_log_probs == pytest.approx(given["a2"].ctc_log_probs)
