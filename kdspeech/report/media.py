"""Sound and pictures inside a page: data URIs, so that the page needs no other file."""

import base64
import io

import numpy as np
import soundfile
from PIL import Image
from scipy.signal import stft

from kdspeech.audio import SAMPLE_RATE

_WINDOW = 96  # samples; 6 ms: wide bands, so that formants show and harmonics do not
_HOP = 64  # samples; 4 ms a pixel
_HEIGHT = 128  # pixels for 0-8 kHz
_RANGE_DB = 55.0  # from white to black


def data_uri(kind: str, content: bytes) -> str:
    """`data:audio/flac;base64,...`"""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def flac_uri(waveform: np.ndarray) -> str:
    """A recording that every current browser plays, in about half the bytes of a WAV file.

    Args:
        waveform: float32 [N] at 16 kHz.
    """
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
    return data_uri("audio/flac", buffer.getvalue())


def spectrogram_png(waveform: np.ndarray) -> bytes:
    """A wide-band spectrogram, 0-8 kHz from bottom to top, 4 ms a pixel, black the loudest.

    Args:
        waveform: float32 [N] at 16 kHz.
    """
    _, _, spectrum = stft(waveform, SAMPLE_RATE, nperseg=_WINDOW, noverlap=_WINDOW - _HOP, nfft=2 * _HEIGHT)
    level_db = 20 * np.log10(np.abs(spectrum[1:]) + 1e-10)  # [128, T]
    level_db += 6.0 * np.log2(np.arange(1, _HEIGHT + 1) / _HEIGHT)[:, None]  # against the slope of speech
    return darkness_png(np.clip(1 + (level_db - level_db.max()) / _RANGE_DB, 0, 1)[::-1])


def darkness_png(darkness: np.ndarray) -> bytes:
    """A grey picture, one pixel a value.

    Args:
        darkness: [H, W] from 0 (white) to 1 (black), the first row on top.
    """
    picture = Image.fromarray((255 * (1 - darkness)).astype(np.uint8), mode="L")
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
