"""Silence around a word is left out where it is long, and nothing else is touched."""

import numpy as np
import pytest

from kdspeech.audio import SAMPLE_RATE
from kdspeech.transcription.silence import LONG_S, MARGIN_S, without_long_silence


def word(seed: int = 0) -> np.ndarray:
    """0.6 s like a voice: harmonics of 120 Hz that swell and fade, and a hiss 15 dB softer at the end."""
    time = np.arange(round(0.6 * SAMPLE_RATE)) / SAMPLE_RATE
    voiced = sum(np.sin(2 * np.pi * 120 * k * time) / k for k in range(1, 9)) * np.sin(np.pi * time / 0.6).clip(0.1)
    hiss = np.random.default_rng(seed).standard_normal(len(time)) * (time > 0.45)
    return (0.1 * voiced * (time <= 0.45) + 0.02 * hiss).astype(np.float32)


def around(waveform: np.ndarray, before_s: float, after_s: float, noise: float) -> np.ndarray:
    ends = [np.zeros(round(seconds * SAMPLE_RATE), np.float32) for seconds in (before_s, after_s)]
    whole = np.concatenate([ends[0], waveform, ends[1]])
    return whole + (noise * np.random.default_rng(1).standard_normal(len(whole))).astype(np.float32)


@pytest.mark.parametrize("noise", [0.0, 1e-4, 3e-3])
@pytest.mark.parametrize(("before_s", "after_s"), [(2.0, 2.0), (0.5, 4.0), (1.0, 0.4)])
def test_long_silence_is_cut_to_its_margin(noise: float, before_s: float, after_s: float) -> None:
    whole = around(word(), before_s, after_s, noise)
    kept = without_long_silence(whole)
    start = next(i for i in range(len(whole)) if np.shares_memory(whole[i : i + 1], kept[:1]))
    end = start + len(kept)
    begins, ends = before_s * SAMPLE_RATE, len(whole) - after_s * SAMPLE_RATE
    assert MARGIN_S - 0.05 < (begins - start) / SAMPLE_RATE < MARGIN_S + 0.05
    assert MARGIN_S - 0.05 < (end - ends) / SAMPLE_RATE < MARGIN_S + 0.05


@pytest.mark.parametrize("silence_s", [0.0, 0.1, LONG_S - 0.05])
def test_short_silence_is_left_alone(silence_s: float) -> None:
    whole = around(word(), silence_s, silence_s, 1e-4)
    assert np.array_equal(without_long_silence(whole), whole)


def test_only_the_long_end_is_cut() -> None:
    whole = around(word(), 0.1, 3.0, 1e-4)
    kept = without_long_silence(whole)
    assert np.array_equal(kept, whole[: len(kept)])
    assert len(kept) < SAMPLE_RATE


@pytest.mark.parametrize("num_samples", [0, 1, 700, 5 * SAMPLE_RATE])
@pytest.mark.parametrize("level", [0.0, 0.3])
def test_what_is_all_alike_is_left_alone(num_samples: int, level: float) -> None:
    noise = level * np.random.default_rng(0).standard_normal(num_samples).astype(np.float32)
    assert np.array_equal(without_long_silence(noise), noise)
    constant = np.full(num_samples, level, np.float32)
    assert np.array_equal(without_long_silence(constant), constant)
