"""What one decoding of a recording tells: its length, its hash, its loudness, clipping and silence, or its fault."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kdspeech.audio import SAMPLE_RATE, WINDOW_STRIDE_S, Recording, read_recording
from kdspeech.errors import AudioError
from kdspeech.files import sha256_of_file

SILENCE_BELOW_LOUDEST_DB = 40.0  # a frame is silent if it is that much softer than the recording's loudest one,
SILENCE_DBFS = -60.0  # or softer than this
LOWEST_DBFS = -120.0  # stands for digital silence, whose level is minus infinity


@dataclass(frozen=True, slots=True)
class FileState:
    """What tells whether a file is still the one that was measured."""

    size: int  # bytes
    mtime_ns: int  # time of the last change

    @classmethod
    def of(cls, path: str) -> "FileState | None":
        """None where there is no such file."""
        try:
            state = os.stat(path)
        except OSError:
            return None
        return cls(state.st_size, state.st_mtime_ns)


@dataclass(frozen=True, slots=True)
class Measured:
    """One file's measures. Levels are relative to full scale: a square wave of full amplitude has 0 dBFS."""

    path: str
    size: int  # bytes; -1 where the file could not be opened, so that the next call tries it again
    mtime_ns: int
    fault: str = ""  # why the recording cannot be used; "" if it can
    fault_kind: str = ""  # in a word or two, see AudioError
    audio_sha256: str = ""  # of the file's bytes
    num_samples: int = 0  # at SAMPLE_RATE
    rate: int = 0  # Hz, as stored
    channels: int = 0
    level_dbfs: float = LOWEST_DBFS  # root mean square over the recording, channels averaged
    peak_dbfs: float = LOWEST_DBFS  # largest sample of any channel
    clipped_share: float = 0.0  # samples at full scale / all samples
    silent_share: float = 0.0  # silent 10 ms frames / all frames

    @property
    def state(self) -> FileState:
        return FileState(self.size, self.mtime_ns)

    @property
    def duration_s(self) -> float:
        return self.num_samples / SAMPLE_RATE


def measure(path: str, state: FileState | None) -> Measured:
    """Decodes a recording once. A broken one comes back with its fault; nothing is raised.

    Args:
        state: of the file, taken before the call, so that a change in between is seen the next time.
    """
    if state is None:
        return Measured(
            path, -1, 0, fault=f"{path}: the audio file does not exist. Check the corpus' paths.", fault_kind="missing"
        )
    try:
        audio_sha256 = sha256_of_file(Path(path))
        recording = read_recording(path)
    except OSError as error:
        return Measured(path, -1, 0, fault=f"{path}: {error.strerror}. Make it readable.", fault_kind="unreadable")
    except AudioError as error:
        return Measured(path, state.size, state.mtime_ns, fault=str(error), fault_kind=error.kind)
    mono = recording.mono
    return Measured(
        path,
        state.size,
        state.mtime_ns,
        audio_sha256=audio_sha256,
        num_samples=recording.num_samples,
        rate=recording.rate,
        channels=recording.samples.shape[1],
        level_dbfs=float(_dbfs(np.dot(mono, mono) / len(mono))),
        peak_dbfs=float(_dbfs(_peak(recording.samples) ** 2)),
        clipped_share=clipped_share(recording),
        silent_share=silent_share(mono, recording.rate),
    )


def clipped_share(recording: Recording) -> float:
    """Share of all samples that stand at full scale: 1, or the largest number of the file's integers."""
    full_scale = 1.0 if recording.bits is None else 1.0 - 2.0 ** (1 - recording.bits)
    if _peak(recording.samples) < full_scale:
        return 0.0
    return float(np.mean(np.abs(recording.samples) >= full_scale))


def silent_share(mono: np.ndarray, rate: int) -> float:
    """Share of the 10 ms frames of a signal [N] that are silent; a rest shorter than a frame does not count."""
    length = min(round(rate * WINDOW_STRIDE_S), len(mono))
    frames = mono[: len(mono) // length * length].reshape(-1, length)  # [F, length]
    levels = _dbfs(np.einsum("ft,ft->f", frames, frames) / length)  # [F]
    return float(np.mean(levels < max(SILENCE_DBFS, levels.max() - SILENCE_BELOW_LOUDEST_DB)))


def _peak(samples: np.ndarray) -> float:
    return max(float(samples.max()), -float(samples.min()))


def _dbfs(power: np.ndarray | float) -> np.ndarray:
    """Levels of mean squares, dBFS."""
    return 10 * np.log10(np.maximum(np.asarray(power, np.float64), 10 ** (LOWEST_DBFS / 10)))
