"""What every reader gives of an utterance, and the names under which systems write it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from kdspeech.errors import KdspeechError

Detail = Literal["speaker", "band", "word_type", "block", "microphone", "production_id"]  # of an utterance
DETAILS: tuple[Detail, ...] = get_args(Detail)

# In order of preference; the first that a file has counts.
ID_NAMES = ("utt_id", "id", "ID", "uttid", "utterance_id", "key")
HYPOTHESIS_NAMES = ("hypothesis", "hyp", "pred_text", "prediction", "predicted")
REFERENCE_NAMES = ("reference", "ref", "text", "transcript", "transcription", "wrd")
CONFIDENCE_NAMES = ("confidence", "score", "log_prob")
AUDIO_NAMES = ("audio_filepath", "wav")
DETAIL_NAMES: Mapping[Detail, tuple[str, ...]] = {
    **{detail: (detail,) for detail in DETAILS},
    "speaker": ("speaker", "spk_id"),
}

NO_DETAILS = ("",) * len(DETAILS)


class FormatError(KdspeechError):
    """A file of transcripts that is not of the form it was read as."""


class Row(NamedTuple):
    """One utterance of a file."""

    line: int  # from 1
    utt_id: str  # "" if the file names recordings only
    text: str  # the hypothesis, or the only text that there is
    reference: str | None = None  # where the file holds both
    confidence: float | None = None  # the higher the surer
    audio: str = ""  # path of the recording, as written
    details: tuple[str, ...] = NO_DETAILS  # in the order of DETAILS


class Written(NamedTuple):
    """One utterance to write."""

    utt_id: str
    text: str
    confidence: float | None = None


Writer = Callable[[Path, Iterable[Written]], None]


@dataclass(frozen=True)
class Format:
    """One family of files."""

    name: str
    title: str  # for people
    recognises: Callable[[Path, str], bool]  # by the file's name and its first lines
    read: Callable[[Path], Iterator[Row]]  # raises FormatError with file and line
    write: Writer | None = None


def fault(path: Path, line: int, found: str, expected: str) -> FormatError:
    """A malformed line."""
    return FormatError(
        f"{path}, line {line}: {found}. Expected {expected}. Correct the line, or name the file's format with --format."
    )


def numbered_lines(path: Path, blank: bool = False) -> Iterator[tuple[int, str]]:
    """Lines without their ends, from 1; blank lines are passed over unless they are asked for.

    Raises:
        FormatError: the file is not UTF-8.
    """
    number = 0
    try:
        with path.open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, start=1):
                if blank or not line.isspace():
                    yield number, line.rstrip("\n")
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}, after line {number}: not UTF-8 ({error.reason}). Convert the file.") from error
