"""A file of transcripts, whole: one text for each utterance id, and what else the file knows of the utterances."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from sys import intern

from kdspeech.scoring.formats.registry import format_of
from kdspeech.scoring.formats.rows import DETAILS, Detail, Format, FormatError, Row


@dataclass(frozen=True)
class Transcripts:
    """The columns are in the order of `texts`; one that the file lacks is None."""

    path: Path
    format: str
    texts: Mapping[str, str]  # utterance id -> hypothesis, or the only text that the file has
    references: Sequence[str | None] | None
    confidences: Sequence[float | None] | None
    audio: Sequence[str] | None  # paths of the recordings, as written
    details: Mapping[Detail, Sequence[str]]  # those that the file has
    ids_from_audio: bool  # the file names recordings only: ids are their names without folder and suffix

    @property
    def reference_texts(self) -> Mapping[str, str]:
        """What counts as the reference: the file's references if it has some, else its only texts."""
        if self.references is None:
            return self.texts
        return {
            utt_id: text if reference is None else reference
            for (utt_id, text), reference in zip(self.texts.items(), self.references, strict=True)
        }

    def detail(self, name: Detail) -> Mapping[str, str]:
        """utterance id -> its value; empty where the file does not have it."""
        column = self.details.get(name)
        return {} if column is None else dict(zip(self.texts, column, strict=True))


def read_transcripts(path: Path, format_name: str | None = None) -> Transcripts:
    """Reads a file of transcripts of any known format.

    Args:
        format_name: one of `FORMATS`; None finds it out.

    Raises:
        KdspeechError: the file is missing or empty.
        FormatError: a malformed line, an utterance id twice, or no utterance; with file and line.
    """
    known = format_of(path, format_name)
    columns = _Columns()
    for row in known.read(path):
        columns.add(row)
    if not columns.texts:
        raise FormatError(f"{path} holds no utterances, read as {known.title}.")
    from_audio = not any(columns.ids)
    ids = _names_of(columns.audio) if from_audio else columns.ids
    texts = dict(zip(ids, columns.texts, strict=True))
    if len(texts) < len(ids) or "" in texts:
        raise _bad_id(path, known, ids)
    return Transcripts(
        path=path,
        format=known.name,
        texts=texts,
        references=_unless_empty(columns.references),
        confidences=_unless_empty(columns.confidences),
        audio=columns.audio if any(columns.audio) else None,
        details={name: values for name, values in zip(DETAILS, columns.details, strict=True) if any(values)},
        ids_from_audio=from_audio,
    )


class _Columns:
    """Rows by column: a million tuples of rows would take a gigabyte."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.texts: list[str] = []
        self.references: list[str | None] = []
        self.confidences: list[float | None] = []
        self.audio: list[str] = []
        self.details: list[list[str]] = [[] for _ in DETAILS]

    def add(self, row: Row) -> None:
        self.ids.append(row.utt_id)
        self.texts.append(intern(row.text))  # words come again and again
        self.references.append(None if row.reference is None else intern(row.reference))
        self.confidences.append(row.confidence)
        self.audio.append(row.audio)
        for column, value in zip(self.details, row.details, strict=True):
            column.append(intern(value))


def _unless_empty(values: list) -> list | None:  # type: ignore[type-arg]
    return None if all(value is None for value in values) else values


def _names_of(audio: Sequence[str]) -> list[str]:
    """File names without suffix; the whole paths where names repeat."""
    names = [PurePath(path).stem for path in audio]
    return names if len(set(names)) == len(names) else list(audio)


def _bad_id(path: Path, known: Format, ids: Sequence[str]) -> FormatError:
    """Reads the file again for the lines, which are not kept: nearly no file has such a fault."""
    first: dict[str, int] = {}
    for row, utt_id in zip(known.read(path), ids, strict=True):
        if not utt_id:
            return FormatError(f"{path}, line {row.line}: no utterance id. Give every utterance one, or none.")
        if utt_id in first:
            return FormatError(
                f"{path}, line {row.line}: utterance id {utt_id!r} stands in line {first[utt_id]} already. Give each "
                "utterance one line."
            )
        first[utt_id] = row.line
    raise AssertionError("an id is empty or stands twice")
