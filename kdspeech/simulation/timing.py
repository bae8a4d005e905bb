"""Time: tempo, pauses, and the unsteadiness of the voice's periods. Waveforms are float32 [N] at 16 kHz."""

import numpy as np
from scipy.ndimage import map_coordinates

from kdspeech.audio import SAMPLE_RATE

_FRAME = 480  # samples; 30 ms, two periods of a low voice
_HOP = _FRAME // 2
_SEARCH = 160  # samples; 10 ms, one period of a low voice
_FADE = 80  # samples; 5 ms
_PAUSE_SEARCH = 640  # samples; 40 ms
_MEAN_DIFFERENCE = 2 / np.sqrt(np.pi)  # mean |a - b| of two independent standard normal numbers


def stretch(waveform: np.ndarray, tempo: float) -> np.ndarray:
    """Plays a waveform at another tempo and the same pitch, by WSOLA.

    Frames are taken `tempo` times as far apart as they are laid down, each moved by up to 10 ms to where it best
    continues the one before it (Verhelst & Roelands, "An overlap-add technique based on waveform similarity (WSOLA) for
    high quality time-scale modification of speech", ICASSP 1993). Dysarthric speech is mostly slow (Darley, Aronson &
    Brown, J. Speech Hear. Res. 12, 1969), and tempo is the best supported way to imitate it (Geng et al., arXiv
    2201.05562).

    Args:
        tempo: 0.5 takes twice as long.

    Returns:
        float32 [round(N / tempo)].
    """
    length = round(len(waveform) / tempo)
    if tempo == 1.0:
        return waveform.copy()
    padded = np.pad(waveform, (_FRAME, 2 * _FRAME + _SEARCH))
    window = np.hanning(_FRAME + 1)[:-1]  # windows half a frame apart add up to 1
    out = np.zeros(length + 3 * _FRAME)
    start = _FRAME - _HOP  # the first frame is centred on the first sample
    for laid in range(0, length + _FRAME, _HOP):
        if laid > 0:
            start = _best_start(padded, start + _HOP, _FRAME - _HOP + round(laid * tempo))
        out[laid : laid + _FRAME] += window * padded[start : start + _FRAME]
    return out[_HOP : _HOP + length].astype(np.float32)


def _best_start(padded: np.ndarray, continued: int, wanted: int) -> int:
    """The start near `wanted` whose frame is most like the one at `continued`."""
    last = len(padded) - _FRAME
    low, high = max(0, min(wanted - _SEARCH, last)), max(0, min(wanted + _SEARCH, last))
    template = padded[min(continued, last) : min(continued, last) + _FRAME]
    region = padded[low : high + _FRAME]
    energy = np.convolve(region**2, np.ones(_FRAME), mode="valid")
    likeness = np.correlate(region, template, mode="valid") / np.sqrt(energy + 1e-9)
    return low + int(likeness.argmax())


def insert_pauses(waveform: np.ndarray, times_s: np.ndarray, lengths_s: np.ndarray) -> np.ndarray:
    """Cuts the waveform and puts silence between.

    Each cut is moved to the quietest place within 40 ms, and faded over 5 ms on both sides. Silences inside words are a
    mark of dysarthria (Darley et al. 1969: "inappropriate silences").

    Args:
        times_s: [P] where to cut, in seconds.
        lengths_s: [P] how long each silence is, in seconds.

    Returns:
        float32 [N + the silences].
    """
    pieces: list[np.ndarray] = []
    begin = 0
    for time_s, length_s in sorted(zip(times_s, lengths_s, strict=True)):
        cut = max(begin, _quietest(waveform, round(time_s * SAMPLE_RATE)))
        pieces += [_faded(waveform[begin:cut], begin > 0, True), np.zeros(round(length_s * SAMPLE_RATE))]
        begin = cut
    pieces.append(_faded(waveform[begin:], begin > 0, False))
    return np.concatenate(pieces).astype(np.float32)


def _quietest(waveform: np.ndarray, near: int) -> int:
    low, high = max(_FADE, near - _PAUSE_SEARCH), min(len(waveform) - _FADE, near + _PAUSE_SEARCH)
    if high <= low:
        return min(max(near, 0), len(waveform))
    energy = np.convolve(waveform[low - _FADE : high + _FADE] ** 2, np.ones(2 * _FADE), mode="valid")
    return low + int(energy.argmin())


def _faded(piece: np.ndarray, at_begin: bool, at_end: bool) -> np.ndarray:
    ramp = np.linspace(0, 1, min(_FADE, len(piece)))
    piece = piece.astype(np.float64)
    if at_begin:
        piece[: len(ramp)] *= ramp
    if at_end:
        piece[len(piece) - len(ramp) :] *= ramp[::-1]
    return piece


def perturb_periods(
    waveform: np.ndarray, period_s: float, jitter: float, shimmer_db: float, random: np.random.Generator
) -> np.ndarray:
    """Makes each period of the voice a little longer or shorter, and louder or softer, than the one before it.

    Local jitter and shimmer as in Baken & Orlikoff, "Clinical Measurement of Speech and Voice" (2nd ed., 2000). The
    waveform is read at an uneven speed, one draw a period, so the period need only be roughly right.

    Args:
        period_s: of the voice, in seconds.
        jitter: mean absolute difference between neighbouring periods, as a share of the mean period.
        shimmer_db: mean absolute difference between the levels of neighbouring periods, in dB.

    Returns:
        float32 [about N].
    """
    period = period_s * SAMPLE_RATE
    count = int(np.ceil(len(waveform) / period)) + 1
    lengths = period * np.clip(1 + jitter / _MEAN_DIFFERENCE * random.standard_normal(count), 0.5, 1.5)
    gains = 10 ** (shimmer_db / _MEAN_DIFFERENCE * random.standard_normal(count) / 20)
    new_edges = np.concatenate([[0.0], np.cumsum(lengths)])  # [count + 1]
    old_edges = period * np.arange(count + 1)
    positions = np.interp(np.arange(round(np.interp(len(waveform), old_edges, new_edges))), new_edges, old_edges)
    read = map_coordinates(waveform.astype(np.float64), positions[None], order=3, mode="nearest")
    return (read * np.interp(positions, old_edges[:-1] + period / 2, gains)).astype(np.float32)
