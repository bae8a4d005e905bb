"""Tempo, pauses and unsteady periods have the asked size."""

import numpy as np
import pytest

from kdspeech.audio import SAMPLE_RATE
from kdspeech.simulation.timing import insert_pauses, perturb_periods, stretch


def _tone(hertz: float, duration_s: float = 0.8) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(duration_s * SAMPLE_RATE)) / SAMPLE_RATE)).astype(
        np.float32
    )


def _strongest_hz(waveform: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform)), 1 << 17))
    return float(spectrum.argmax() * SAMPLE_RATE / (1 << 17))


@pytest.mark.parametrize("tempo", [0.4, 0.7, 0.9, 1.3])
def test_stretching_changes_the_length_and_not_the_pitch(tempo: float) -> None:
    waveform = _tone(220)
    stretched = stretch(waveform, tempo)
    assert len(stretched) == round(len(waveform) / tempo)
    assert _strongest_hz(stretched) == pytest.approx(220, rel=0.01)
    assert np.sqrt((stretched**2).mean()) == pytest.approx(np.sqrt((waveform**2).mean()), rel=0.05)


def test_stretching_keeps_the_order_of_events() -> None:
    low, high = _tone(200, 0.4), _tone(600, 0.4)
    stretched = stretch(np.concatenate([low, high]), 0.5)
    half = len(stretched) // 2
    assert _strongest_hz(stretched[: half - 500]) == pytest.approx(200, rel=0.02)
    assert _strongest_hz(stretched[half + 500 :]) == pytest.approx(600, rel=0.02)


def test_the_own_tempo_changes_nothing() -> None:
    waveform = np.random.default_rng(0).standard_normal(5000).astype(np.float32)
    np.testing.assert_array_equal(stretch(waveform, 1.0), waveform)


def test_pauses_are_silent_and_as_long_as_asked() -> None:
    waveform = _tone(220)
    paused = insert_pauses(waveform, np.array([0.5, 0.2]), np.array([0.1, 0.05]))
    assert len(paused) == len(waveform) + round(0.15 * SAMPLE_RATE)
    silent = np.flatnonzero(np.abs(paused) < 1e-9)
    edges = np.flatnonzero(np.diff(silent) > 1)
    runs = [run for run in np.split(silent, edges + 1) if len(run) > 50]
    assert [len(run) for run in runs] == pytest.approx([0.05 * SAMPLE_RATE, 0.1 * SAMPLE_RATE], abs=5)
    assert runs[0][0] / SAMPLE_RATE == pytest.approx(0.2, abs=0.045)
    np.testing.assert_array_equal(insert_pauses(waveform, np.zeros(0), np.zeros(0)), waveform)


def test_a_pause_goes_to_the_quietest_place() -> None:
    waveform = _tone(220)
    quiet = slice(round(0.42 * SAMPLE_RATE), round(0.43 * SAMPLE_RATE))
    waveform[quiet] = 0
    paused = insert_pauses(waveform, np.array([0.4]), np.array([0.2]))
    np.testing.assert_allclose(paused[: quiet.start - 100], waveform[: quiet.start - 100], atol=1e-6)
    np.testing.assert_allclose(paused[-round(0.3 * SAMPLE_RATE) :], waveform[-round(0.3 * SAMPLE_RATE) :], atol=1e-6)


def test_jitter_and_shimmer_have_the_asked_size() -> None:
    period = 160  # samples; 100 Hz
    count = 600
    bell = np.exp(-0.5 * ((np.arange(period) - period / 2) / 4) ** 2)
    train = np.tile(bell, count).astype(np.float32)
    changed = perturb_periods(train, period / SAMPLE_RATE, 0.03, 0.8, np.random.default_rng(0))
    length = len(changed)
    peaks = [i for i in range(1, length - 1) if changed[i] > 0.3 and changed[i - 1] < changed[i] >= changed[i + 1]]
    assert len(peaks) == pytest.approx(count, abs=1)
    # A bell sits in the middle of a period. So its distance to the next one is the mean of two periods' lengths, and
    # neighbouring distances differ by half of what two periods do.
    distances, levels_db = np.diff(peaks), 20 * np.log10(changed[peaks])
    assert np.abs(np.diff(distances)).mean() / distances.mean() == pytest.approx(0.03 / 2, rel=0.15)
    assert np.abs(np.diff(levels_db)).mean() == pytest.approx(0.8, rel=0.15)


def test_no_jitter_and_no_shimmer_change_nothing() -> None:
    waveform = _tone(130)
    steady = perturb_periods(waveform, 1 / 130, 0.0, 0.0, np.random.default_rng(0))
    np.testing.assert_allclose(steady, waveform, atol=1e-4)
