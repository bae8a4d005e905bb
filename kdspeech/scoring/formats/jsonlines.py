"""JSON Lines: this project's manifests, NeMo's manifests with predictions, and anything else with an id and a text.

A field of HYPOTHESIS_NAMES is the hypothesis, and then one of REFERENCE_NAMES the reference; `text` alone is the text.
All lines hold both, or all hold one: a reference must not stand in for a hypothesis that is not there.
"""

import codecs
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from kdspeech.files import atomic_path
from kdspeech.scoring.formats.rows import (
    AUDIO_NAMES,
    CONFIDENCE_NAMES,
    DETAIL_NAMES,
    DETAILS,
    HYPOTHESIS_NAMES,
    ID_NAMES,
    NO_DETAILS,
    REFERENCE_NAMES,
    Format,
    Row,
    Written,
    fault,
)

_EXPECTED = "an object with utt_id (or audio_filepath) and text (or hypothesis, pred_text)"


class _Fields(NamedTuple):
    """Which fields of the objects mean what; "" for none."""

    utt_id: str
    text: str
    reference: str
    confidence: str
    audio: str
    details: tuple[str, ...]  # in the order of DETAILS

    @property
    def texts(self) -> str:
        """What the texts are, for people."""
        if self.reference:
            return "a hypothesis and a reference"
        return "a hypothesis alone" if self.text in HYPOTHESIS_NAMES else "a reference alone"


def _read(path: Path) -> Iterator[Row]:
    fields_of: dict[tuple[str, ...], _Fields] = {}  # by the names that an object has: mostly the same in all lines
    for number, line in _objects(path):
        names = tuple(line)
        fields = fields_of.get(names)
        if fields is None:
            fields = fields_of[names] = _fields(path, number, names)
            if fields.texts != next(iter(fields_of.values())).texts:
                found = f"{fields.texts} among {', '.join(names)}, other than the lines before"
                raise fault(path, number, found, "a hypothesis in every line or in none, and so for references")
        utt_id, text = str(line[fields.utt_id]) if fields.utt_id else "", line[fields.text]
        reference = line[fields.reference] if fields.reference else None
        confidence = line[fields.confidence] if fields.confidence else None
        if not isinstance(text, str) or not isinstance(reference, str | None):
            raise fault(path, number, f"{text if reference is None else reference!r} is no text", _EXPECTED)
        if not isinstance(confidence, float | int | None):
            raise fault(path, number, f"confidence {confidence!r}", "a number")
        details = tuple([str(line[name]) if name else "" for name in fields.details]) if fields.details else NO_DETAILS
        yield Row(number, utt_id, text, reference, confidence, line[fields.audio] if fields.audio else "", details)


def _objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Line numbers and objects, without the fields that are null, but for the hypothesis: nothing was heard."""
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.isspace():
                continue
            try:
                found = decode(line.removeprefix(codecs.BOM_UTF8) if number == 1 else line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise fault(path, number, f"not such an object ({error})", _EXPECTED) from error
            if None in found.values():
                found = {
                    name: "" if value is None else value
                    for name, value in found.items()
                    if value is not None or name in HYPOTHESIS_NAMES
                }
            yield number, found


def _fields(path: Path, number: int, names: tuple[str, ...]) -> _Fields:
    utt_id, audio = _first(names, ID_NAMES), _first(names, AUDIO_NAMES)
    hypothesis, reference = _first(names, HYPOTHESIS_NAMES), _first(names, REFERENCE_NAMES)
    if not hypothesis and not reference:
        raise fault(path, number, f"no text among {', '.join(names) or 'no fields'}", _EXPECTED)
    if not utt_id and not audio:
        raise fault(path, number, f"no utterance id among {', '.join(names)}", _EXPECTED)
    details = tuple(_first(names, DETAIL_NAMES[detail]) for detail in DETAILS)
    return _Fields(
        utt_id,
        hypothesis or reference,
        reference if hypothesis else "",
        _first(names, CONFIDENCE_NAMES),
        audio,
        details if any(details) else (),
    )


def _first(names: tuple[str, ...], wanted: tuple[str, ...]) -> str:
    return next((name for name in wanted if name in names), "")


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
