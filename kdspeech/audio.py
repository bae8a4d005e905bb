"""Audio constants, and the one way in which a recording becomes a waveform."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from kdspeech.errors import AudioError

SAMPLE_RATE = 16_000  # Hz; every waveform in this project
WINDOW_STRIDE_S = 0.01  # seconds between two feature frames
WINDOW_SIZE_S = 0.025  # seconds under one feature window
SAMPLES_PER_FEATURE_FRAME = 160  # SAMPLE_RATE x WINDOW_STRIDE_S
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


def load_audio(path: str | Path) -> np.ndarray:
    """Reads any file that libsndfile reads, mixes it to mono and resamples it to 16 kHz.

    Returns:
        float32 waveform [N], N = samples at SAMPLE_RATE.

    Raises:
        AudioError: the file is missing, unreadable, truncated, empty or holds NaN or infinity.
    """
    recording = read_recording(path)
    mono = recording.mono  # [N]
    if recording.rate != SAMPLE_RATE:
        mono = soxr.resample(mono, recording.rate, SAMPLE_RATE, quality="HQ")
    return np.ascontiguousarray(mono, dtype=np.float32)


def read_recording(path: str | Path) -> Recording:
    """Decodes a file and refuses it if it is broken.

    Raises:
        AudioError: the file is missing, unreadable, truncated, empty or holds NaN or infinity.
    """
    path = Path(path)
    try:
        with soundfile.SoundFile(path) as file:
            expected_frames, rate, bits = file.frames, file.samplerate, _BITS.get(file.subtype)
            samples = file.read(dtype="float32", always_2d=True)  # [N, C]
    except (soundfile.LibsndfileError, OSError) as error:
        if not path.exists():
            raise AudioError(
                f"{path}: the audio file does not exist. Check the manifest's paths.", "missing"
            ) from error
        raise AudioError(f"{path}: not a readable audio file ({error}). Replace it or leave it out.") from error
    if len(samples) == 0:
        raise AudioError(f"{path}: the recording is empty (0 samples). Replace it or leave it out.", "empty")
    if len(samples) < expected_frames or _wav_is_cut_short(path):
        raise AudioError(
            f"{path}: the recording is truncated: its header promises more than the {len(samples)} samples found. "
            "Copy the file again or leave it out.",
            "truncated",
        )
    if not np.isfinite(samples).all():
        raise AudioError(
            f"{path}: the recording holds NaN or infinite samples. Replace it or leave it out.", "not finite"
        )
    return Recording(samples, rate, bits)


def _wav_is_cut_short(path: Path) -> bool:
    """True if a RIFF/WAVE file's data chunk promises more bytes than the file holds.

    libsndfile silently shortens such a file to what is there, so the header is read here.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(12)
        if header[:4] != b"RIFF" or header[8:12] != b"WAVE":
            return False
        position = 12
        while position + 8 <= size:
            file.seek(position)
            chunk = file.read(8)
            length = int.from_bytes(chunk[4:8], "little")
            if chunk[:4] == b"data":
                streamed = length in (0, 0xFFFFFFFF)  # length unknown when the header was written
                return not streamed and position + 8 + length > size
            position += 8 + length + length % 2
    return False
