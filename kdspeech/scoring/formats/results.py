"""This project's own `results-*.json`: every utterance of one evaluation, with its reference."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from kdspeech.scoring.formats.rows import Format, FormatError, Row

Form = TypeVar("Form")


class _Utterance(msgspec.Struct, gc=False):
    utt_id: str
    reference: str
    hypothesis: str
    speaker: str = ""
    band: str = ""
    word_type: str = ""
    block: str = ""
    microphone: str = ""
    production_id: str = ""
    confidence: float | None = None
    log_prob: float | None = None


class EvaluatedRun(msgspec.Struct, frozen=True):
    """Whose answers a results file holds."""

    held_out: str = ""
    seed: int = 0
    recipe: str = ""
    mode: str = ""
    decode_mode: str = ""
    checkpoint: str = ""
    options: dict[str, Any] | None = None  # of the decode mode

    @property
    def system(self) -> str:
        """What folds and seeds of one system share."""
        options = "".join(f", {name} {value}" for name, value in (self.options or {}).items())
        return f"{self.mode} of recipe {self.recipe} by {self.decode_mode}, {self.checkpoint} checkpoint{options}"


class _Results(msgspec.Struct):
    utterances: list[_Utterance]


class _Settings(msgspec.Struct):
    settings: EvaluatedRun = EvaluatedRun()


def read_run(path: Path) -> EvaluatedRun:
    """Whose answers these are. Raises FormatError for another form."""
    return _decoded(path, _Settings).settings


def _read(path: Path) -> Iterator[Row]:
    for number, u in enumerate(_decoded(path, _Results).utterances, start=1):
        details = (u.speaker, u.band, u.word_type, u.block, u.microphone, u.production_id)
        confidence = u.log_prob if u.confidence is None else u.confidence
        yield Row(number, u.utt_id, u.hypothesis, u.reference, confidence, details=details)


def _decoded(path: Path, form: type[Form]) -> Form:
    try:
        return msgspec.json.decode(path.read_bytes(), type=form)
    except msgspec.DecodeError as error:
        raise FormatError(f"{path} is not a results file of `kdspeech eval` ({error}).") from error


def _recognises(path: Path, head: str) -> bool:
    return head.startswith("{") and head.partition("\n")[0].strip() == "{"


RESULTS = Format("results", "results-*.json of kdspeech eval", _recognises, _read)
