"""Long silence around an utterance, as a microphone or a tape leaves it, is not heard.

Corpora of single words have hardly any, and students of them hear words in it. What has none is left as it is, to the
last sample. Shapes: N samples, F frames of 10 ms.
"""

import numpy as np

from kdspeech.audio import SAMPLE_RATE, SAMPLES_PER_FEATURE_FRAME

LONG_S = 0.3  # only more silence than this is cut, at each end for itself
MARGIN_S = 0.1  # and so much of it is kept, for what begins or ends softly
_SMOOTHED = 5  # frames over which levels are averaged, so that a single crackle is not taken for a voice
_BELOW_LOUDEST = 1e-3  # power against the loudest frames': 30 dB below is silence,
_ABOVE_NOISE = 4.0  # and so is what is less than 6 dB above the quietest tenth, for rooms that are not quiet,
_NEVER_SILENT = 0.03  # but never what is within 15 dB of the loudest
_QUIETEST = 10  # per cent of the frames


def without_long_silence(waveform: np.ndarray) -> np.ndarray:
    """Cuts silence of more than LONG_S at the beginning and at the end down to MARGIN_S.

    Args:
        waveform: [N] at 16 kHz.

    Returns:
        A part of it, never empty unless it is; all of it where nothing is long, or all is silent.
    """
    first, last = _speech(waveform)
    margin = round(MARGIN_S * SAMPLE_RATE)
    long = LONG_S * SAMPLE_RATE
    start = first - margin if first > long else 0
    end = last + margin if len(waveform) - last > long else len(waveform)
    return waveform[start:end]


def _speech(waveform: np.ndarray) -> tuple[int, int]:
    """From and up to which sample something is heard; all of it where no frame stands out."""
    num_frames = len(waveform) // SAMPLES_PER_FEATURE_FRAME
    if num_frames < _SMOOTHED:
        return 0, len(waveform)
    frames = waveform[: num_frames * SAMPLES_PER_FEATURE_FRAME].reshape(num_frames, -1).astype(np.float64)  # [F, 160]
    powers = np.square(frames).mean(axis=1)  # [F]
    smooth = np.convolve(powers, np.full(_SMOOTHED, 1 / _SMOOTHED), mode="same")
    loudest = smooth.max()
    noise = float(np.percentile(smooth, _QUIETEST))
    floor = min(max(_ABOVE_NOISE * noise, _BELOW_LOUDEST * loudest), _NEVER_SILENT * loudest)
    heard = np.flatnonzero(smooth >= floor)
    return int(heard[0]) * SAMPLES_PER_FEATURE_FRAME, (int(heard[-1]) + 1) * SAMPLES_PER_FEATURE_FRAME
