"""Formants go where they are sent: measured on synthetic vowels whose formants are known."""

import numpy as np
import pytest
from scipy.signal import find_peaks, freqz, lfilter

from kdspeech.audio import SAMPLE_RATE
from kdspeech.simulation.formants import FormantChange, prediction_filters, reshape_formants

_PITCH_HZ = 100


def _vowel(formants_hz: tuple[float, ...], bandwidth_hz: float = 80.0) -> np.ndarray:
    """Half a second of pulses through resonances, with the slope of a voice."""
    pulses = np.zeros(SAMPLE_RATE // 2)
    pulses[:: SAMPLE_RATE // _PITCH_HZ] = 1
    waveform = lfilter([1], [1, -0.95], pulses)
    for hertz in formants_hz:
        radius = np.exp(-np.pi * bandwidth_hz / SAMPLE_RATE)
        waveform = lfilter([1], [1, -2 * radius * np.cos(2 * np.pi * hertz / SAMPLE_RATE), radius**2], waveform)
    return (0.3 * waveform / np.abs(waveform).max()).astype(np.float32)


def _response(waveform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies in Hz and the level in dB of the envelope in the middle of a waveform."""
    middle = lfilter([1, -0.95], [1], waveform)[len(waveform) // 3 : len(waveform) // 3 + 1600]
    (inverse,) = prediction_filters((middle * np.hanning(1600))[None])
    hertz, gain = freqz([1], inverse, worN=4096, fs=SAMPLE_RATE)
    return hertz, 20 * np.log10(np.abs(gain))


def _formants(waveform: np.ndarray, count: int) -> np.ndarray:
    """Frequencies in Hz of the highest peaks."""
    hertz, level_db = _response(waveform)
    peaks, _ = find_peaks(level_db)
    highest = sorted(peaks, key=lambda peak: -level_db[peak])[:count]
    return np.sort(hertz[highest])


def test_no_change_gives_back_the_waveform() -> None:
    waveform = _vowel((700, 1100, 2450))
    unchanged = reshape_formants(waveform, FormantChange())
    np.testing.assert_allclose(unchanged, waveform, atol=2e-3)


@pytest.mark.parametrize("vowel", [(700.0, 1100.0), (300.0, 2200.0)])
@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_centralisation_moves_two_formants_by_its_share_of_the_way(vowel: tuple[float, float], share: float) -> None:
    moved = _formants(reshape_formants(_vowel(vowel), FormantChange(centralisation=share)), 2)
    expected = [hertz + share * (neutral - hertz) for hertz, neutral in zip(vowel, (500, 1500), strict=True)]
    np.testing.assert_allclose(moved, expected, rtol=0.05)


@pytest.mark.parametrize("scale", [0.85, 1.15])
def test_scaling_moves_all_formants_by_one_factor(scale: float) -> None:
    vowel = (500.0, 1500.0, 2500.0)
    moved = _formants(reshape_formants(_vowel(vowel), FormantChange(scale=scale)), 3)
    np.testing.assert_allclose(moved, np.multiply(vowel, scale), rtol=0.06)


def test_widening_widens_the_peak() -> None:
    def width_hz(waveform: np.ndarray) -> float:
        hertz, level_db = _response(waveform)
        return float((level_db > level_db.max() - 3).sum() * (hertz[1] - hertz[0]))

    vowel = _vowel((1500.0,), bandwidth_hz=60.0)
    widths = [width_hz(reshape_formants(vowel, FormantChange(widening=factor))) for factor in (1.0, 2.0, 4.0)]
    # The analysis sees a resonance through its window, wider than it is, and multiplies what it sees.
    assert widths[1] > 1.7 * widths[0]
    assert widths[2] > 1.7 * widths[1]


def test_hiss_is_not_centralised() -> None:
    hiss = 0.1 * np.random.default_rng(0).standard_normal(8000).astype(np.float32)
    changed = reshape_formants(hiss, FormantChange(centralisation=0.9))
    np.testing.assert_allclose(changed, hiss, atol=5e-3)


def test_the_level_stays() -> None:
    waveform = _vowel((700, 1100))
    changed = reshape_formants(waveform, FormantChange(scale=1.1, centralisation=0.5, widening=2.0))
    assert len(changed) == len(waveform)
    assert np.sqrt((changed**2).mean()) == pytest.approx(np.sqrt((waveform**2).mean()), rel=0.4)
