"""`transcribe`: what a trained student hears in recordings."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kdspeech import console
from kdspeech.audio import SAMPLE_RATE
from kdspeech.errors import AudioError
from kdspeech.evaluation.results import Alternative
from kdspeech.files import write_text
from kdspeech.hypothesis import Hypothesis
from kdspeech.transcription.sources import MAX_DURATION_S, Source
from kdspeech.transcription.transcriber import Transcriber

_CHUNK = 64  # recordings held in memory


@dataclass(frozen=True)
class Transcript:
    """One recording and what was heard in it."""

    audio_filepath: str  # or another name of the recording
    duration: float  # seconds
    hypothesis: str
    confidence: float  # in [0, 1]
    calibrated: bool  # False: the decoder's own confidence, as a rule too high
    log_prob: float
    n_best: tuple[Alternative, ...]  # the hypothesis first; it alone where no list was asked for


@dataclass(frozen=True)
class Unheard:
    """A recording that could not be used."""

    audio_filepath: str
    reason: str


@dataclass(frozen=True)
class Transcription:
    """All recordings, in the order in which they were named."""

    transcripts: tuple[Transcript, ...]
    unheard: tuple[Unheard, ...]

    def to_json_lines(self) -> str:
        """One object a recording, with the names that `kdspeech score` reads."""
        return "".join(json.dumps(asdict(t), ensure_ascii=False) + "\n" for t in self.transcripts)

    def save(self, path: Path) -> None:
        """Writes the JSON Lines, atomically."""
        write_text(path, self.to_json_lines())

    def print(self) -> None:
        """A line a hypothesis."""
        console.table(
            "What was heard", ("recording", "text", "confidence", "seconds"), _rows(self.transcripts), text_columns=2
        )


def transcribe(
    transcriber: Transcriber, sources: Sequence[Source], max_duration_s: float = MAX_DURATION_S
) -> Transcription:
    """Transcribes recordings; one that is broken is put aside with its reason, and the others go on.

    Args:
        sources: see `kdspeech.transcription.sources.find_sources`.
        max_duration_s: longer recordings are put aside.
    """
    transcripts: list[Transcript] = []
    unheard: list[Unheard] = []
    with console.progress("Transcribing recordings", len(sources)) as bar:
        for start in range(0, len(sources), _CHUNK):
            chunk = sources[start : start + _CHUNK]
            loaded = []
            for source in chunk:
                try:
                    waveform = transcriber.check(source.load(max_duration_s), source.name)
                except AudioError as error:
                    unheard.append(Unheard(source.name, str(error)))
                else:
                    loaded.append((source, waveform))
            hypotheses = transcriber.hear([waveform for _, waveform in loaded])
            for (source, waveform), heard in zip(loaded, hypotheses, strict=True):
                calibrated = transcriber.calibration is not None
                transcripts.append(make_transcript(source.name, len(waveform) / SAMPLE_RATE, heard, calibrated))
            bar.advance(len(chunk))
    return Transcription(tuple(transcripts), tuple(unheard))


def make_transcript(name: str, duration_s: float, heard: Hypothesis, calibrated: bool) -> Transcript:
    """A hypothesis with its ranked list."""
    return Transcript(
        audio_filepath=name,
        duration=round(duration_s, 3),
        hypothesis=heard.text,
        confidence=heard.confidence,
        calibrated=calibrated,
        log_prob=heard.log_prob,
        n_best=tuple(Alternative(h.text, h.log_prob, h.confidence) for h in heard.n_best or (heard,)),
    )


def _rows(transcripts: Sequence[Transcript]) -> Iterator[tuple[Any, ...]]:
    for transcript in transcripts:
        for rank, other in enumerate(transcript.n_best):
            first = rank == 0
            yield (
                transcript.audio_filepath if first else "",
                other.text,
                f"{100 * other.confidence:.1f} %",
                f"{transcript.duration:.2f}" if first else "",
            )
