"""JSON Lines: this project's manifests, NeMo's manifests with predictions, and anything else with an id and a text.

A field of HYPOTHESIS_NAMES is the hypothesis, and then one of REFERENCE_NAMES the reference; `text` alone is the text.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from kdspeech.files import atomic_path
from kdspeech.scoring.formats.rows import (
    AUDIO_NAMES,
    CONFIDENCE_NAMES,
    DETAIL_NAMES,
    DETAILS,
    HYPOTHESIS_NAMES,
    ID_NAMES,
    REFERENCE_NAMES,
    Format,
    Row,
    Written,
    fault,
    numbered_lines,
)

_EXPECTED = "an object with utt_id (or audio_filepath) and text (or hypothesis, pred_text)"
_IDS = str | int | None
_TEXTS = str | None
# Typed, since fields that are not named here cost nothing then; a manifest holds many.
_Object: Any = msgspec.defstruct(
    "_Object",
    [
        *((name, _IDS, None) for name in ID_NAMES),
        *((name, _TEXTS, None) for name in HYPOTHESIS_NAMES + REFERENCE_NAMES + AUDIO_NAMES),
        *((name, float | None, None) for name in CONFIDENCE_NAMES),
        *((name, _IDS, None) for detail in DETAILS for name in DETAIL_NAMES[detail]),
    ],
    gc=False,
)


def _read(path: Path) -> Iterator[Row]:
    decode = msgspec.json.Decoder(_Object).decode
    for number, line in numbered_lines(path):
        try:
            yield _row(decode(line), path, number)
        except msgspec.DecodeError as error:
            raise fault(path, number, f"not such an object ({error})", _EXPECTED) from error


def _row(found: Any, path: Path, number: int) -> Row:
    utt_id, audio = _first(found, ID_NAMES), _first(found, AUDIO_NAMES) or ""
    hypothesis, reference = _first(found, HYPOTHESIS_NAMES), _first(found, REFERENCE_NAMES)
    text = reference if hypothesis is None else hypothesis
    if text is None or (utt_id is None and not audio):
        raise fault(path, number, "no text" if text is None else "no utterance id", _EXPECTED)
    return Row(
        number,
        "" if utt_id is None else str(utt_id),
        text,
        None if hypothesis is None else reference,
        _first(found, CONFIDENCE_NAMES),
        audio,
        tuple(str(_first(found, DETAIL_NAMES[detail]) or "") for detail in DETAILS),
    )


def _first(found: Any, names: tuple[str, ...]) -> Any:
    for name in names:
        value = getattr(found, name)
        if value is not None:
            return value
    return None


def _write(path: Path, rows: Iterable[Written]) -> None:
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.writelines(
            msgspec.json.encode(
                {"utt_id": row.utt_id, "hypothesis": row.text}
                | ({} if row.confidence is None else {"confidence": row.confidence})
            )
            + b"\n"
            for row in rows
        )


JSON_LINES = Format(
    "jsonl", "JSON Lines, with NeMo's manifests", lambda _path, head: head.startswith("{"), _read, _write
)
