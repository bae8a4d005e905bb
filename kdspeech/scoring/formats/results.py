"""This project's own `results-*.json`: every utterance of one evaluation, with its reference."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from kdspeech.scoring.formats.rows import Format, FormatError, Row


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


class _Results(msgspec.Struct):
    utterances: list[_Utterance]


def _read(path: Path) -> Iterator[Row]:
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_Results)
    except msgspec.DecodeError as error:
        raise FormatError(f"{path} is not a results file of `kdspeech eval` ({error}).") from error
    for number, u in enumerate(found.utterances, start=1):
        details = (u.speaker, u.band, u.word_type, u.block, u.microphone, u.production_id)
        confidence = u.log_prob if u.confidence is None else u.confidence
        yield Row(number, u.utt_id, u.hypothesis, u.reference, confidence, details=details)


def _recognises(path: Path, head: str) -> bool:
    return head.startswith("{") and head.partition("\n")[0].strip() == "{"


RESULTS = Format("results", "results-*.json of kdspeech eval", _recognises, _read)
