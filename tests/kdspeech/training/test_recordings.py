"""Recordings as they are drawn: in which order, how fast, and what an epoch keeps of them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from kdspeech.config import ChannelConfig
from kdspeech.training.recordings import AudioCache, Draw, EpochBatches, UtteranceDataset
from kdspeech.utterance import Utterance
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


def test_tempos_are_drawn_beside_speeds_and_change_nothing_else() -> None:
    plain = drawn(EpochBatches(UTTERANCES, 16, 0, (0.9, 1.1)), 2)
    both = drawn(EpochBatches(UTTERANCES, 16, 0, (0.9, 1.1), tempos=(0.8, 1.25)), 2)
    speeds = {draw.number: draw.speed for batch in plain for draw in batch}
    assert {draw.number: draw.speed for batch in both for draw in batch} == speeds
    assert {(draw.speed, draw.tempo) for batch in both for draw in batch} == {
        (speed, tempo) for speed in (0.9, 1.1) for tempo in (0.8, 1.25)
    }
    unshuffled = EpochBatches(UTTERANCES, 16, 0, shuffle=False, tempos=(0.8,))
    assert {draw.tempo for batch in unshuffled for draw in batch} == {1.0}


def test_a_tempo_shortens_the_waveform_and_keeps_the_pitch(tmp_path: Path, vocabulary: Vocabulary) -> None:
    times_s = np.arange(16_000) / 16_000
    soundfile.write(tmp_path / "tone.wav", 0.5 * np.sin(2 * np.pi * 400 * times_s), 16_000)
    utterance = replace(UTTERANCES[0], audio_filepath=str(tmp_path / "tone.wav"), text="one")
    found = UtteranceDataset([utterance], vocabulary, AudioCache(10**6))[Draw(0, 1.0, tempo=1.25)]
    assert len(found.waveform) == 12_800
    assert found.pace == 1.25
    spectrum = np.abs(np.fft.rfft(found.waveform))
    assert spectrum.argmax() * 16_000 / 12_800 == pytest.approx(400, abs=5)


def test_dataset_joins_waveform_and_tokens(
    tmp_path: Path, vocabulary: Vocabulary, write_wav: Callable[..., Path]
) -> None:
    path = write_wav(tmp_path / "x.wav", duration_s=0.5)
    utterance = replace(UTTERANCES[0], audio_filepath=str(path), text="three")
    found = UtteranceDataset([utterance], vocabulary, AudioCache(10**6))[Draw(0, 1.0)]
    assert found.utterance is utterance
    assert len(found.waveform) == 8_000
    assert found.token_ids == vocabulary.encode("three")


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
