"""What stands in a batch's tensors."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from kdspeech.errors import RunError
from kdspeech.targets.hypotheses import WeightedText
from kdspeech.targets.target_set import Target
from kdspeech.training.batches import Collator, FrameGrid, twice
from kdspeech.training.recordings import Item
from kdspeech.utterance import Utterance
from kdspeech.vocabulary import Vocabulary


def item(vocabulary: Vocabulary, utt_id: str, text: str, num_samples: int) -> Item:
    utterance = Utterance(utt_id, f"/audio/{utt_id}.wav", 0.3, text, "anna", "train")
    return Item(utterance, np.full(num_samples, 0.5, dtype=np.float32), vocabulary.encode(text))


def test_collated_tensors_by_hand(vocabulary: Vocabulary) -> None:
    items = [item(vocabulary, "a", "one", 4), item(vocabulary, "b", "seven", 6)]
    one, seven, end = vocabulary.encode("one"), vocabulary.encode("seven"), vocabulary.end_id
    assert len(one) < len(seven)
    batch = Collator(vocabulary)(items)
    gap = len(seven) - len(one)
    assert batch.utt_ids == ("a", "b")
    assert batch.texts == ("one", "seven")
    assert batch.waveforms.tolist() == [[0.5] * 4 + [0.0] * 2, [0.5] * 6]
    assert batch.lengths.tolist() == [4, 6]
    assert batch.num_tokens.tolist() == [len(one), len(seven)]
    assert batch.tokens[0, : len(one)].tolist() == one
    assert batch.tokens[1].tolist() == seven
    assert batch.decoder_inputs.tolist() == [[end, *one, *[end] * gap], [end, *seven]]
    assert batch.decoder_targets.tolist() == [[*one, end, *[end] * gap], [*seven, end]]
    assert batch.decoder_mask.tolist() == [[True] * (len(one) + 1) + [False] * gap, [True] * (len(seven) + 1)]
    assert batch.frame_targets is None
    assert batch.token_targets is None


def target(utt_id: str, num_frames: int, num_positions: int) -> Target:
    """Row i of every distribution holds the number i."""
    frames = np.repeat(np.arange(num_frames, dtype=np.float32)[:, None], 3, axis=1)
    positions = np.repeat(np.arange(num_positions, dtype=np.float32)[:, None], 3, axis=1)
    return Target(utt_id, frames, np.arange(num_frames) % 2 == 0, positions, confidence=1.0, num_teachers=2)


def test_targets_are_laid_onto_the_students_frames(vocabulary: Vocabulary) -> None:
    items = [item(vocabulary, "a", "one", 20)._replace(pace=2.0), item(vocabulary, "b", "one", 40)]
    targets = {"a": target("a", 4, 3), "b": target("b", 5, 3)}
    collator = Collator(vocabulary, targets, FrameGrid(lambda lengths: lengths // 10, 1.0), positions=True)
    # 2 student frames of 4 teacher frames, played twice as fast: of rows 1 and 2 the one with less blank; and 4 of 5.
    batch = collator(items)
    assert batch.frame_targets is not None
    assert batch.frame_mask is not None
    assert batch.token_targets is not None
    assert batch.frame_targets[..., 0].tolist() == [[0.0, 1.0, 0.0, 0.0], [0.0, 1.0, 2.0, 3.0]]
    assert batch.frame_mask.tolist() == [[True, False, False, False], [True, False, True, False]]
    assert batch.token_targets[..., 0].tolist() == [[0.0, 1.0, 2.0]] * 2


def test_frames_without_target_or_on_which_teachers_disagree_are_not_taught(vocabulary: Vocabulary) -> None:
    whole = replace(target("b", 4, 3), ctc_log_probs=np.zeros((4, vocabulary.num_columns), dtype=np.float32))
    targets = {"a": replace(whole, counts=False), "b": whole}
    collator = Collator(vocabulary, targets, FrameGrid(lambda lengths: lengths // 10, 1.0), without_targets={"c"})
    batch = collator([item(vocabulary, utt_id, "one", 40) for utt_id in "abc"])
    assert batch.has_frame_targets is not None
    assert batch.has_frame_targets.tolist() == [False, True, False]


def test_a_missing_target_names_the_utterance(vocabulary: Vocabulary) -> None:
    without = replace(target("a", 4, 3), decoder_log_probs=None)
    collator = Collator(vocabulary, {"a": without}, positions=True)
    with pytest.raises(RunError, match=r"'a' has no target of kind `decoder`"):
        collator([item(vocabulary, "a", "one", 20)])


def test_hypotheses_come_with_the_index_of_their_utterance(vocabulary: Vocabulary) -> None:
    said = {"a": [WeightedText((1, 2, 3), 0.75), WeightedText((4,), 0.25)], "b": [], "c": [WeightedText((5, 6), 1.0)]}
    collator = Collator(vocabulary, hypotheses=said)
    batch = collator([item(vocabulary, utt_id, "one", 20) for utt_id in "abc"])
    end = vocabulary.end_id
    assert batch.hypotheses is not None
    assert batch.hypotheses.tokens.tolist() == [[1, 2, 3], [4, end, end], [5, 6, end]]
    assert batch.hypotheses.num_tokens.tolist() == [3, 1, 2]
    assert batch.hypotheses.utterances.tolist() == [0, 0, 2]
    assert batch.hypotheses.weights.tolist() == [0.75, 0.25, 1.0]
    nobody = collator([item(vocabulary, "b", "one", 20)]).hypotheses
    assert nobody is not None
    assert len(nobody.tokens) == len(nobody.weights) == 0


def test_a_batch_twice_has_every_utterance_again_after_the_last(vocabulary: Vocabulary) -> None:
    said = {"a": [WeightedText((1,), 1.0)], "b": [WeightedText((2,), 1.0)]}
    batch = Collator(vocabulary, hypotheses=said)([item(vocabulary, i, "one", 20) for i in "ab"])
    both = twice(batch)
    assert both.utt_ids == ("a", "b", "a", "b")
    assert torch.equal(both.waveforms, torch.cat([batch.waveforms, batch.waveforms]))
    assert both.frame_targets is None
    assert both.hypotheses is not None
    assert both.hypotheses.tokens.tolist() == [[1], [2], [1], [2]]
    assert both.hypotheses.utterances.tolist() == [0, 1, 2, 3]


def test_where_teachers_disagree_no_token_and_no_word_counts(vocabulary: Vocabulary) -> None:
    items = [item(vocabulary, "a", "one", 20), item(vocabulary, "b", "one", 20)]
    targets = {"a": replace(target("a", 4, 3), counts=False), "b": target("b", 4, 3)}
    batch = Collator(
        vocabulary, targets, positions=True, word_targets={"b": np.zeros(5, dtype=np.float32)}, num_words=5
    )(items)
    assert batch.token_mask is not None
    assert batch.token_mask.any(dim=1).tolist() == [False, True]
    assert batch.word_targets is not None
    assert batch.word_targets.shape == (2, 5)
    assert batch.word_mask is not None
    assert batch.word_mask.tolist() == [False, True]
