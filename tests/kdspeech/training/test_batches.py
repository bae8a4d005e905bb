"""Batches: who is in them, in which order, and what stands in their tensors."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from kdspeech.config import ChannelConfig
from kdspeech.corpora.utterance import Utterance
from kdspeech.errors import RunError
from kdspeech.targets.hypotheses import WeightedText
from kdspeech.targets.target_set import Target
from kdspeech.training.batches import AudioCache, Collator, Draw, EpochBatches, Item, UtteranceDataset, twice
from kdspeech.vocabulary import Vocabulary

UTTERANCES = [
    Utterance(f"u{i}", f"/audio/{i}.wav", 0.3 + 0.01 * (i * 37 % 100), "one", "anna", "train") for i in range(100)
]


def drawn(sampler: EpochBatches, epoch: int) -> list[list[Draw]]:
    sampler.set_epoch(epoch)
    return list(sampler)


def order(sampler: EpochBatches, epoch: int) -> list[int]:
    return [draw.number for batch in drawn(sampler, epoch) for draw in batch]


def test_every_utterance_comes_once_an_epoch() -> None:
    sampler = EpochBatches(UTTERANCES, batch_size=16, seed=0)
    batches = drawn(sampler, 3)
    assert len(batches) == len(sampler) == 7
    assert sorted(draw.number for batch in batches for draw in batch) == list(range(100))


def test_order_depends_on_seed_and_epoch_alone() -> None:
    fresh = EpochBatches(UTTERANCES, batch_size=16, seed=5, speeds=(0.9, 1.0, 1.1))
    used = EpochBatches(UTTERANCES, batch_size=16, seed=5, speeds=(0.9, 1.0, 1.1))
    for epoch in range(4):
        drawn(used, epoch)
    torch.manual_seed(1234)
    np.random.seed(99)
    assert drawn(fresh, 2) == drawn(used, 2)
    assert order(fresh, 2) != order(fresh, 3)
    assert order(fresh, 2) != order(EpochBatches(UTTERANCES, 16, seed=6, speeds=(0.9, 1.0, 1.1)), 2)


def test_a_batch_holds_utterances_of_similar_length() -> None:
    batches = drawn(EpochBatches(UTTERANCES, batch_size=10, seed=0), 0)
    spans = [np.ptp([UTTERANCES[draw.number].duration for draw in batch]) for batch in batches]
    assert max(spans) < 0.15  # seconds, of a range of 1 s


def test_every_speed_is_drawn_but_not_for_validation() -> None:
    speeds = {draw.speed for batch in drawn(EpochBatches(UTTERANCES, 16, 0, (0.9, 1.0, 1.1)), 0) for draw in batch}
    assert speeds == {0.9, 1.0, 1.1}
    unshuffled = EpochBatches(UTTERANCES, 16, 0, (0.9,), shuffle=False)
    assert {draw.speed for batch in unshuffled for draw in batch} == {1.0}


def test_speed_shortens_the_waveform_and_raises_the_pitch(tmp_path: Path) -> None:
    import soundfile

    time = np.arange(16_000) / 16_000
    soundfile.write(tmp_path / "tone.wav", np.sin(2 * np.pi * 400 * time), 16_000)
    faster = AudioCache(0).load(str(tmp_path / "tone.wav"), speed=1.25)
    assert len(faster) == pytest.approx(16_000 / 1.25, abs=2)
    spectrum = np.abs(np.fft.rfft(faster))
    assert spectrum.argmax() * 16_000 / len(faster) == pytest.approx(500, abs=2)


def test_cache_keeps_no_more_than_its_bytes(tmp_path: Path, write_wav: Callable[..., Path]) -> None:
    first, second = (str(write_wav(tmp_path / f"{n}.wav", duration_s=1.0, seed=n)) for n in (0, 1))
    cache = AudioCache(max_bytes=100_000)  # one waveform of 64,000 bytes fits
    kept, refused = cache.load(first), cache.load(second)
    assert cache.load(first) is kept
    assert cache.load(second) is not refused
    np.testing.assert_array_equal(cache.load(second), refused)


def item(vocabulary: Vocabulary, utt_id: str, text: str, num_samples: int) -> Item:
    utterance = replace(UTTERANCES[0], utt_id=utt_id, text=text)
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
    items = [item(vocabulary, "a", "one", 20), item(vocabulary, "b", "one", 40)]
    targets = {"a": target("a", 4, 3), "b": target("b", 4, 3)}
    collator = Collator(vocabulary, targets, frame_counter=lambda lengths: lengths // 10, positions=True)
    batch = collator(items)  # 2 and 4 student frames of 4 teacher frames
    assert batch.frame_targets is not None
    assert batch.frame_mask is not None
    assert batch.token_targets is not None
    assert batch.frame_targets[..., 0].tolist() == [[1.0, 3.0, 0.0, 0.0], [0.0, 1.0, 2.0, 3.0]]
    assert batch.frame_mask.tolist() == [[False, False, False, False], [True, False, True, False]]
    assert batch.token_targets[..., 0].tolist() == [[0.0, 1.0, 2.0]] * 2


def test_a_missing_target_names_the_utterance(vocabulary: Vocabulary) -> None:
    without = replace(target("a", 4, 3), decoder_log_probs=None)
    collator = Collator(vocabulary, {"a": without}, positions=True)
    with pytest.raises(RunError, match=r"'a' has no target of kind `decoder`"):
        collator([item(vocabulary, "a", "one", 20)])


def test_dataset_joins_waveform_and_tokens(
    tmp_path: Path, vocabulary: Vocabulary, write_wav: Callable[..., Path]
) -> None:
    path = write_wav(tmp_path / "x.wav", duration_s=0.5)
    utterance = replace(UTTERANCES[0], audio_filepath=str(path), text="three")
    found = UtteranceDataset([utterance], vocabulary, AudioCache(10**6))[Draw(0, 1.0)]
    assert found.utterance is utterance
    assert len(found.waveform) == 8_000
    assert found.token_ids == vocabulary.encode("three")


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


def test_colours_follow_from_seed_epoch_and_utterance_alone(
    tmp_path: Path, vocabulary: Vocabulary, write_wav: Callable[..., Path]
) -> None:
    path = write_wav(tmp_path / "x.wav", duration_s=0.5)
    utterances = [replace(utterance, audio_filepath=str(path)) for utterance in UTTERANCES[:2]]

    def heard(seed: int, epoch: int, number: int, colouring: ChannelConfig | None) -> np.ndarray:
        dataset = UtteranceDataset(utterances, vocabulary, AudioCache(10**6), colouring=colouring)
        dataset[Draw(0, 1.0, (seed, epoch))]  # what was drawn before does not matter
        sampler = EpochBatches(utterances, 1, seed)
        draw = next(d for batch in drawn(sampler, epoch) for d in batch if d.number == number)
        return dataset[draw].waveform

    plain, config = heard(0, 0, 0, None), ChannelConfig()
    coloured = heard(0, 3, 1, config)
    assert coloured.dtype == np.float32
    assert len(coloured) == len(plain)
    assert np.array_equal(coloured, heard(0, 3, 1, config))
    for other in (heard(1, 3, 1, config), heard(0, 4, 1, config), heard(0, 3, 0, config), plain):
        assert np.abs(coloured - other).max() > 1e-3
    assert np.array_equal(plain, AudioCache(0).load(str(path)))
