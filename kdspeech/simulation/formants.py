"""Formants: linear prediction frame by frame, its poles moved, and the same excitation through the new filter.

Shapes: F frames, N samples, P prediction order.
"""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.signal import lfilter

from kdspeech.audio import SAMPLE_RATE

NEUTRAL_HZ = (500.0, 1500.0, 2500.0, 3500.0)  # of a uniform tube of 17.5 cm, closed at one end (Fant 1960)

_FRAME = 400  # samples; 25 ms
_HOP = _FRAME // 2
_SPECTRUM = 2048  # samples
_ORDER = 18  # one pole a kHz and one more pair (Markel & Gray 1976)
_PRE_EMPHASIS = 0.97
_WHITENING = 1e-4  # of a frame's energy, added to its autocorrelation; keeps silent frames solvable
_FORMANT_RANGE_HZ = (150.0, 4500.0)
_MAX_BANDWIDTH_HZ = 700.0  # wider poles shape the spectrum's slope; they are no formants
_MIN_VOICING = 0.6  # correlation of neighbouring samples; hiss is below it


@dataclass(frozen=True)
class FormantChange:
    """What happens to the formants."""

    scale: float = 1.0  # all formants times this; below 1: a longer vocal tract
    centralisation: float = 0.0  # 0 leaves the vowels, 1 makes each of them the neutral one
    widening: float = 1.0  # all bandwidths times this
    neutral_hz: tuple[float, ...] = NEUTRAL_HZ  # the speaker's neutral vowel, before scaling


def reshape_formants(waveform: np.ndarray, change: FormantChange) -> np.ndarray:
    """Moves the formants of a waveform.

    A pole r exp(i t) of the prediction filter is a resonance at t fs / 2 pi with bandwidth -ln(r) fs / pi (Makhoul,
    "Linear prediction: a tutorial review", Proc. IEEE 63, 1975); editing poles and filtering the residual again changes
    a speaker (Slifka & Anderson, "Speaker modification with LPC pole analysis", ICASSP 1995). In voiced frames the
    first formants go towards the neutral vowel's: dysarthric vowel spaces are smaller (Kim, Hasegawa-Johnson & Perlman,
    Folia Phoniatr. Logop. 63, 2011, on UASpeech). Scaling is vocal-tract-length perturbation (Jaitly & Hinton, 2013).

    Args:
        waveform: float32 [N] at 16 kHz.

    Returns:
        float32 [N], each frame as loud as it was.
    """
    emphasised = lfilter([1, -_PRE_EMPHASIS], [1], np.pad(waveform, (_FRAME, 2 * _FRAME)).astype(np.float64))
    window = np.hanning(_FRAME + 1)[:-1]
    frames = sliding_window_view(emphasised, _FRAME)[::_HOP] * window  # [F, 400]
    voiced = _voiced(sliding_window_view(np.pad(waveform, (_FRAME, 2 * _FRAME)), _FRAME)[::_HOP])  # [F]
    old = prediction_filters(frames)  # [F, P + 1]
    new = _filters_of(_moved(_poles_of(old), change, voiced))
    # Inverse filter and new filter at once. The spectrum is long enough for the new filter to ring off inside it.
    ratio = np.fft.rfft(old, _SPECTRUM) / np.fft.rfft(new, _SPECTRUM)
    shaped = np.fft.irfft(np.fft.rfft(frames, _SPECTRUM) * ratio)  # [F, 2048]
    shaped *= np.sqrt((frames**2).sum(axis=1) / ((shaped**2).sum(axis=1) + 1e-20))[:, None]
    out = np.zeros(len(emphasised) + _SPECTRUM)
    for index, frame in enumerate(shaped):
        out[index * _HOP : index * _HOP + _SPECTRUM] += frame
    plain = lfilter([1], [1, -_PRE_EMPHASIS], out)
    return plain[_FRAME : _FRAME + len(waveform)].astype(np.float32)


def prediction_filters(frames: np.ndarray) -> np.ndarray:
    """Linear prediction by autocorrelation.

    Args:
        frames: [F, N], windowed.

    Returns:
        [F, P + 1] inverse filters, the first coefficient 1.
    """
    spectrum = np.abs(np.fft.rfft(frames, 2 * frames.shape[1])) ** 2
    correlation = np.fft.irfft(spectrum)[:, : _ORDER + 1]  # [F, P + 1]
    correlation[:, 0] = correlation[:, 0] * (1 + _WHITENING) + 1e-12
    lags = np.abs(np.subtract.outer(np.arange(_ORDER), np.arange(_ORDER)))
    coefficients = np.linalg.solve(correlation[:, lags], -correlation[:, 1:, None])[..., 0]  # [F, P]
    return np.concatenate([np.ones((len(frames), 1)), coefficients], axis=1)


def _poles_of(filters: np.ndarray) -> np.ndarray:
    companions = np.zeros((len(filters), _ORDER, _ORDER))
    companions[:, 0] = -filters[:, 1:]
    companions[:, np.arange(1, _ORDER), np.arange(_ORDER - 1)] = 1
    return np.linalg.eigvals(companions).astype(complex)  # [F, P]


def _filters_of(poles: np.ndarray) -> np.ndarray:
    filters = np.ones((len(poles), 1), dtype=complex)
    for pole in poles.T:
        longer = np.pad(filters, ((0, 0), (0, 1)))
        longer[:, 1:] -= pole[:, None] * filters
        filters = longer
    return filters.real


def _voiced(frames: np.ndarray) -> np.ndarray:
    neighbours = (frames[:, 1:] * frames[:, :-1]).sum(axis=1)
    return neighbours > _MIN_VOICING * (frames**2).sum(axis=1) + 1e-12


def _moved(poles: np.ndarray, change: FormantChange, voiced: np.ndarray) -> np.ndarray:
    """The new poles [F, P]; real ones stay on their axis."""
    hertz = np.abs(np.angle(poles)) * SAMPLE_RATE / (2 * np.pi)
    log_radius = np.log(np.clip(np.abs(poles), 1e-6, 0.9999))
    bandwidth = -log_radius * SAMPLE_RATE / np.pi
    low, high = _FORMANT_RANGE_HZ
    formant = (poles.imag > 0) & (hertz > low) & (hertz < high) & (bandwidth < _MAX_BANDWIDTH_HZ) & voiced[:, None]
    order = np.argsort(np.where(formant, hertz, np.inf), axis=1)
    moved = hertz.copy()
    rows = np.arange(len(poles))
    for column, neutral in zip(order.T, change.neutral_hz, strict=False):
        here = np.where(formant[rows, column], change.centralisation, 0.0)
        moved[rows, column] += here * (neutral - moved[rows, column])
    moved = np.minimum(moved * change.scale, 0.98 * SAMPLE_RATE / 2)
    upper = np.exp(change.widening * log_radius + 2j * np.pi * moved / SAMPLE_RATE)
    is_real = np.abs(poles.imag) < 1e-9
    kept = np.where(is_real, np.sign(poles.real) * np.exp(change.widening * log_radius), upper)
    # LAPACK lists a pair's upper pole first and the lower one right after it.
    return np.where(poles.imag < -1e-9, np.roll(kept, 1, axis=1).conj(), kept)
