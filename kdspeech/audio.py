"""Audio constants, and the one way in which a recording becomes a waveform."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

from kdspeech.errors import AudioError

SAMPLE_RATE = 16_000  # Hz; every waveform in this project
WINDOW_STRIDE_S = 0.01  # seconds between two feature frames
WINDOW_SIZE_S = 0.025  # seconds under one feature window
SAMPLES_PER_FEATURE_FRAME = 160  # SAMPLE_RATE x WINDOW_STRIDE_S
_STREAMED = 0x7FFF0000  # bytes that a WAV header promises, or more, where it was written before the recording's end
_BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}  # by libsndfile's names


@dataclass(frozen=True)
class Recording:
    """A recording as its file holds it."""

    samples: np.ndarray  # float32 [N, C] for C channels; full scale is 1.0
    rate: int  # Hz
    bits: int | None  # of a sample; None where it is a floating-point number or comes of a lossy code

    @property
    def mono(self) -> np.ndarray:
        """float32 [N], the mean of the channels."""
        return self.samples[:, 0] if self.samples.shape[1] == 1 else self.samples.mean(axis=1)

    @property
    def num_samples(self) -> int:
        """Length of `load_audio`'s waveform, N samples at SAMPLE_RATE, without resampling: soxr rounds half up."""
        return (2 * len(self.samples) * SAMPLE_RATE + self.rate) // (2 * self.rate)


def resample_to_speed(waveform: np.ndarray, speed: float) -> np.ndarray:
    """[N] -> [N / speed]: at 1.1 shorter and higher, as from a smaller head."""
    return np.asarray(soxr.resample(waveform, SAMPLE_RATE * speed, SAMPLE_RATE, quality="HQ"))


def load_audio(path: str | Path) -> np.ndarray:
    """Reads any file that libsndfile reads, mixes it to mono and resamples it to 16 kHz.

    Returns:
        float32 waveform [N], N = samples at SAMPLE_RATE.

    Raises:
        AudioError: the file is missing, unreadable, truncated, empty or holds NaN or infinity.
    """
    return waveform_of(read_recording(path))


def waveform_of(recording: Recording) -> np.ndarray:
    """float32 waveform [N]: mono, N = samples at SAMPLE_RATE."""
    mono = recording.mono  # [N]
    if recording.rate != SAMPLE_RATE:
        mono = soxr.resample(mono, recording.rate, SAMPLE_RATE, quality="HQ")
    return np.ascontiguousarray(mono, dtype=np.float32)


def read_recording(path: str | Path, max_duration_s: float | None = None) -> Recording:
    """Decodes a file and refuses it if it is broken.

    Args:
        max_duration_s: longer recordings are refused before they are decoded, as far as their header tells.

    Raises:
        AudioError: the file is missing, unreadable, truncated, empty, too long or holds NaN or infinity.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return decode_recording(file, str(path), max_duration_s)
    except FileNotFoundError as error:
        raise AudioError(f"{path}: the audio file does not exist. Check the manifest's paths.", "missing") from error
    except OSError as error:
        raise AudioError(f"{path}: not a readable audio file ({error}). Replace it or leave it out.") from error


def decode_recording(file: BinaryIO | bytes, name: str, max_duration_s: float | None = None) -> Recording:
    """Decodes an open file, or a file's bytes, and refuses it if it is broken.

    Args:
        name: of the recording, for messages.
        max_duration_s: as for `read_recording`.

    Raises:
        AudioError: unreadable, truncated, empty, too long or holding NaN or infinity.
    """
    file = io.BytesIO(file) if isinstance(file, bytes) else file
    try:
        with soundfile.SoundFile(file) as sound:
            expected_frames, rate, bits = sound.frames, sound.samplerate, _BITS.get(sound.subtype)
            _check_duration(expected_frames / rate, name, max_duration_s)
            samples = sound.read(dtype="float32", always_2d=True)  # [N, C]
    except soundfile.LibsndfileError as error:
        raise AudioError(f"{name}: not a readable audio file ({error}). Replace it or leave it out.") from error
    if len(samples) == 0:
        raise AudioError(f"{name}: the recording is empty (0 samples). Replace it or leave it out.", "empty")
    if len(samples) < expected_frames or _wav_is_cut_short(file):
        raise AudioError(
            f"{name}: the recording is truncated: its header promises more than the {len(samples)} samples found. "
            "Copy the file again or leave it out.",
            "truncated",
        )
    if not np.isfinite(samples).all():
        raise AudioError(
            f"{name}: the recording holds NaN or infinite samples. Replace it or leave it out.", "not finite"
        )
    return Recording(samples, rate, bits)


def _check_duration(duration_s: float, name: str, max_duration_s: float | None) -> None:
    if max_duration_s is not None and duration_s > max_duration_s:
        raise AudioError(
            f"{name}: the recording lasts {duration_s:.1f} s, at most {max_duration_s:g} s are taken. Cut it into "
            "single utterances.",
            "too long",
        )


def _wav_is_cut_short(file: BinaryIO) -> bool:
    """True if a RIFF/WAVE file's data chunk promises more bytes than the file holds.

    libsndfile silently shortens such a file to what is there, so the header is read here.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    header = file.read(12)
    if header[:4] != b"RIFF" or header[8:12] != b"WAVE":
        return False
    position = 12
    while position + 8 <= size:
        file.seek(position)
        chunk = file.read(8)
        length = int.from_bytes(chunk[4:8], "little")
        if chunk[:4] == b"data":
            streamed = length == 0 or length >= _STREAMED
            return not streamed and position + 8 + length > size
        position += 8 + length + length % 2
    return False
