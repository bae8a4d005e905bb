"""Where recordings come from: files, whole folders, and bytes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kdspeech.audio import decode_recording, read_recording, waveform_of
from kdspeech.errors import KdspeechError

AUDIO_SUFFIXES = (
    ".wav",
    ".flac",
    ".mp3",
    ".ogg",
    ".opus",
    ".sph",
    ".aif",
    ".aiff",
)  # of a folder
MAX_DURATION_S = 60.0  # of one utterance; attention grows with its square


@dataclass(frozen=True)
class Source:
    """One recording, not yet opened."""

    name: str  # its path, or what else a person knows it by
    path: Path | None = None
    data: bytes | None = None  # of a file that has no path

    def load(self, max_duration_s: float = MAX_DURATION_S) -> np.ndarray:
        """float32 waveform [N] at 16 kHz.

        Raises:
            AudioError: missing, unreadable, truncated, empty, too long or holding NaN or infinity.
        """
        if self.data is not None:
            return waveform_of(decode_recording(self.data, self.name, max_duration_s))
        return waveform_of(read_recording(self.path or self.name, max_duration_s))


def find_sources(paths: Sequence[Path]) -> list[Source]:
    """Files as they are, and each folder's recordings, sub-folders too, in the order of their names.

    Raises:
        KdspeechError: a folder without a recording.
    """
    return [source for path in paths for source in (_in_folder(path) if path.is_dir() else (_of_file(path),))]


def _in_folder(folder: Path) -> Iterator[Source]:
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES and path.is_file())
    if not found:
        raise KdspeechError(f"{folder} holds no recording: expected files that end in {', '.join(AUDIO_SUFFIXES)}.")
    return map(_of_file, found)


def _of_file(path: Path) -> Source:
    return Source(str(path), path)
