"""What is heard beside the voice: breath, the room and the microphone. Waveforms are float32 [N] at 16 kHz."""

import numpy as np
from scipy.signal import butter, firwin2, lfilter

from kdspeech.audio import SAMPLE_RATE

_ENVELOPE_HZ = 20.0  # how fast breath follows the voice
_BREATH_HZ = 1500.0  # breath lies above it
_CHANNEL_TAPS = 129


def add_breath(waveform: np.ndarray, ratio_db: float, random: np.random.Generator) -> np.ndarray:
    """Adds hiss that rises and falls with the voice.

    Aspiration noise above the low harmonics is what makes a voice breathy (Klatt & Klatt, "Analysis, synthesis, and
    perception of voice quality variations among female and male talkers", J. Acoust. Soc. Am. 87, 1990).

    Args:
        ratio_db: energy of the voice over that of the breath, in dB.
    """
    envelope = np.sqrt(np.maximum(lfilter(*butter(1, _ENVELOPE_HZ, fs=SAMPLE_RATE), waveform**2), 0))
    hiss = lfilter(*butter(2, _BREATH_HZ, "high", fs=SAMPLE_RATE), random.standard_normal(len(waveform)))
    return _mixed(waveform, envelope * hiss, ratio_db)


def add_background(waveform: np.ndarray, snr_db: float, random: np.random.Generator) -> np.ndarray:
    """Adds the steady, low-pitched noise of a room, `snr_db` below the waveform's energy."""
    return _mixed(waveform, lfilter([1], [1, -0.9], random.standard_normal(len(waveform))), snr_db)


def _mixed(waveform: np.ndarray, noise: np.ndarray, ratio_db: float) -> np.ndarray:
    energy = (noise**2).sum()
    if energy == 0:
        return waveform.copy()
    gain = np.sqrt((waveform.astype(np.float64) ** 2).sum() / energy * 10 ** (-ratio_db / 10))
    return (waveform + gain * noise).astype(np.float32)


def equalise(waveform: np.ndarray, frequencies_hz: np.ndarray, gains_db: np.ndarray) -> np.ndarray:
    """Filters by a smooth frequency response, as a microphone at its place does.

    Args:
        frequencies_hz: [P] rising, between 0 and 8000.
        gains_db: [P] gain at each; straight lines between.

    Returns:
        float32 [N], not delayed.
    """
    points = np.concatenate([[0.0], frequencies_hz, [SAMPLE_RATE / 2]])
    gains = 10 ** (np.concatenate([gains_db[:1], gains_db, gains_db[-1:]]) / 20)
    taps = firwin2(_CHANNEL_TAPS, points, gains, fs=SAMPLE_RATE)
    return np.convolve(waveform, taps)[_CHANNEL_TAPS // 2 :][: len(waveform)].astype(np.float32)
