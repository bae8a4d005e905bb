"""Any NeMo manifest with a speaker field: one JSON object a line, `audio_filepath`, `text`, and `duration` if known."""

import codecs
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from kdspeech.corpora.reader import Option, ReadCorpus, Reader
from kdspeech.corpora.splits import split_by_production
from kdspeech.errors import ManifestError
from kdspeech.utterance import Utterance

_MAX_FAULTS = 10  # named in one message
_OWN_FIELDS = {field.name for field in fields(Utterance)} - {"audio_sha256"}
_NEVER_EMPTY = {"utt_id", "split", "production_id"}  # empty, they count as not given
_KNOWN_FIELDS = _OWN_FIELDS | {"audio_sha256", "offset"}


@dataclass(frozen=True, slots=True)
class _Line:
    row: Mapping[str, Any]
    folder: str  # of the recording, absolute
    name: str  # of the recording


def read(manifest: Path, speaker_field: str = "speaker") -> ReadCorpus:
    """Reads a manifest.

    Fields: `audio_filepath` (absolute, or relative to the manifest), `text` and the speaker field; optional are
    `duration` (s), `utt_id`, `split` (train, valid or test, on every line or on none) and the other fields of
    `Utterance`. Without `utt_id` the file's name stands for it, or its path where names repeat. Without `split`
    each speaker's productions are split 80/10/10 by a hash of their ids, so neither the order of the lines nor the
    other speakers decide it.

    Raises:
        ManifestError: the file is missing or holds no line, or lines are at fault; the first ones are named.
    """
    if not manifest.is_file():
        raise ManifestError(
            f"{manifest} does not exist. Name a manifest: JSON Lines with audio_filepath, text, speaker."
        )
    absolute = cache(lambda folder: os.path.abspath(manifest.parent / folder))  # many files share a folder
    lines, faults = [], []
    for number, text in enumerate(manifest.read_bytes().removeprefix(codecs.BOM_UTF8).split(b"\n"), start=1):
        if not text.strip():
            continue
        fault, row = _parse(text, speaker_field)
        if fault:
            faults.append(f"line {number}: {fault}")
        else:
            folder, name = os.path.split(row["audio_filepath"])
            lines.append(_Line(row, absolute(folder), name))
    with_split = sum("split" in line.row for line in lines)
    if 0 < with_split < len(lines):
        faults.append(f"{with_split} of {len(lines)} lines have a `split`: give it on every line or on none")
    if faults:
        raise ManifestError(
            f"{manifest} has {len(faults)} faults: {'; '.join(faults[:_MAX_FAULTS])}"
            f"{'; ...' if len(faults) > _MAX_FAULTS else ''}. Correct them and prepare again."
        )
    if not lines:
        raise ManifestError(f"{manifest} holds no utterances.")
    utterances = [_utterance(line, speaker_field, utt_id) for line, utt_id in zip(lines, _ids(lines), strict=True)]
    return ReadCorpus(
        utterances if with_split else split_by_production(utterances), gaps=_unused_fields(lines, speaker_field)
    )


def _parse(text: bytes, speaker_field: str) -> tuple[str, dict[str, Any]]:
    """What is wrong with a line ("" if nothing), and its object. An empty text is no fault of the line."""
    try:
        row = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return f"not JSON ({error})", {}
    if not isinstance(row, dict):
        return f"expected a JSON object, found {type(row).__name__}", {}
    row = {key: value for key, value in row.items() if value is not None and (value != "" or key not in _NEVER_EMPTY)}
    missing = [key for key in ("audio_filepath", "text", speaker_field) if key not in row]
    missing += [key for key in ("audio_filepath", speaker_field) if row.get(key) == ""]
    if missing:
        way_out = " (name the speaker's field with --speaker-field)" if speaker_field in missing else ""
        return f"no {', '.join(missing)} among {', '.join(row) or 'no fields'}{way_out}", {}
    for key in ("audio_filepath", "text"):
        if not isinstance(row[key], str):
            return f"{key} {row[key]!r} is not a text", {}
    if row.get("offset"):
        return f"offset {row['offset']}: parts of files are not supported, cut the recording out", {}
    if not isinstance(row.get("duration") or 0.0, int | float):
        return f"duration {row['duration']!r} is not a number of seconds", {}
    return "", row


def _ids(lines: Sequence[_Line]) -> list[str]:
    """Ids as given; else file names; else, where names repeat, paths below the folder that all files share."""
    derived = [os.path.splitext(line.name)[0] for line in lines]
    if len(set(derived)) < len(lines):
        folders = {line.folder for line in lines}
        shared = os.path.commonpath(folders)
        below = {folder: Path(folder).relative_to(shared) for folder in folders}
        derived = [(below[line.folder] / stem).as_posix() for line, stem in zip(lines, derived, strict=True)]
    return [str(line.row.get("utt_id", name)) for line, name in zip(lines, derived, strict=True)]


def _utterance(line: _Line, speaker_field: str, utt_id: str) -> Utterance:
    given = {key: str(value) for key, value in line.row.items() if key in _OWN_FIELDS}
    known = {
        "utt_id": utt_id,
        "audio_filepath": os.path.join(line.folder, line.name),
        "duration": float(line.row.get("duration") or 0.0),
        "speaker": str(line.row[speaker_field]),
        "split": str(line.row.get("split", "")),
        "production_id": str(line.row.get("production_id", utt_id)),
    }
    return Utterance(**{**given, **known})  # type: ignore[arg-type]  # one mapping of strings and one float


def _unused_fields(lines: Sequence[_Line], speaker_field: str) -> tuple[str, ...]:
    unused = sorted(set().union(*(line.row.keys() for line in lines)) - _KNOWN_FIELDS - {speaker_field})
    return (f"fields of the manifest that are not used: {', '.join(unused)}.",) if unused else ()


READER = Reader(
    name="manifest",
    read=read,
    default_recipe="conformer_xs_from_speechbrain",
    help="""A NeMo manifest with speakers.

    FILE holds JSON Lines with audio_filepath, text, speaker and, if known, duration, utt_id, split, production_id.
    """,
    source="file",
    options=(Option("speaker_field", "Field that names the speaker."),),
)
