"""A file of transcripts, whole: one text for each utterance id, and what else the file knows of the utterances."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path, PurePath
from sys import intern
from typing import TypeVar

from kdspeech import console
from kdspeech.files import count_lines
from kdspeech.scoring.formats.registry import format_of
from kdspeech.scoring.formats.rows import DETAILS, NO_DETAILS, Detail, Format, FormatError, Row

Value = TypeVar("Value")

_STEP = 10_000  # lines between two movements of the progress bar


@dataclass(frozen=True)
class Transcripts:
    """The columns are in the order of `texts`; one that the file lacks is None."""

    source: str  # path, or what names several files
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

    def of_speakers(self, speakers: Collection[str]) -> "Transcripts":
        """Only these speakers' utterances.

        Raises:
            FormatError: the file does not tell speakers, or has none of that name.
        """
        known = self.details.get("speaker", ())
        if unknown := sorted(set(speakers) - set(known)):
            raise FormatError(
                f"{self.source} has no speaker {', '.join(unknown)}; it knows "
                f"{', '.join(dict.fromkeys(known)) or 'none'}."
            )
        kept = [speaker in speakers for speaker in known]
        return replace(
            self,
            texts=dict(compress(self.texts.items(), kept)),
            references=None if self.references is None else list(compress(self.references, kept)),
            confidences=None if self.confidences is None else list(compress(self.confidences, kept)),
            audio=None if self.audio is None else list(compress(self.audio, kept)),
            details={name: list(compress(values, kept)) for name, values in self.details.items()},
        )

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
    for row in _tracked(known.read(path), path):
        columns.add(row)
    if not columns.texts:
        raise FormatError(f"{path} holds no utterances, read as {known.title}.")
    from_audio = not any(columns.ids)
    ids = _names_of(columns.audio) if from_audio else columns.ids
    texts = dict(zip(ids, columns.texts, strict=True))
    if len(texts) < len(ids) or "" in texts:
        raise _bad_id(path, known, ids)
    return Transcripts(
        source=str(path),
        format=known.name,
        texts=texts,
        references=_unless_empty(columns.references),
        confidences=_unless_empty(columns.confidences),
        audio=columns.audio if any(columns.audio) else None,
        details=columns.by_detail(),
        ids_from_audio=from_audio,
    )


def _tracked(rows: Iterator[Row], path: Path) -> Iterator[Row]:
    """The rows, with a progress display by lines."""
    done = line = 0
    with console.progress(f"Reading {path.name}, lines", count_lines(path)) as bar:
        for row in rows:
            yield row
            line = row.line
            if line - done >= _STEP:
                bar.advance(line - done)
                done = line
        bar.advance(line - done)


def merge_transcripts(files: Sequence[Transcripts]) -> Transcripts:
    """Several files of one system, for example its folds, as one.

    Raises:
        FormatError: an utterance id stands in two of them.
    """
    if len(files) == 1:
        return files[0]
    texts: dict[str, str] = {}
    for file in files:
        if twice := file.texts.keys() & texts.keys():
            raise FormatError(
                f"{file.source}: {len(twice)} utterances, {min(twice)!r} among them, stand in another file of the same "
                "system too. Score each seed by itself, or pool seeds with `kdspeech compare`."
            )
        texts |= file.texts
    return Transcripts(
        source=f"{files[0].source} and {len(files) - 1} more",
        format=", ".join(dict.fromkeys(file.format for file in files)),
        texts=texts,
        references=_chained([file.references for file in files], files),
        confidences=_chained([file.confidences for file in files], files),
        audio=_chained([file.audio for file in files], files),
        details={
            name: _chained([file.details.get(name) or [""] * len(file.texts) for file in files], files) or []
            for name in DETAILS
            if any(name in file.details for file in files)
        },
        ids_from_audio=all(file.ids_from_audio for file in files),
    )


def _chained(columns: Sequence[Sequence[Value] | None], files: Sequence[Transcripts]) -> list[Value] | None:
    """The files' columns in one; None if a file lacks it."""
    known = [column for column in columns if column is not None]
    return [value for column in known for value in column] if len(known) == len(files) else None


class _Columns:
    """Rows by column: a million tuples of rows would take a gigabyte."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.texts: list[str] = []
        self.references: list[str | None] = []
        self.confidences: list[float | None] = []
        self.audio: list[str] = []
        self.details: list[tuple[str, ...]] = []  # in the order of DETAILS

    def add(self, row: Row) -> None:
        self.ids.append(row.utt_id)
        self.texts.append(intern(row.text))  # words come again and again
        self.references.append(None if row.reference is None else intern(row.reference))
        self.confidences.append(row.confidence)
        self.audio.append(row.audio)
        self.details.append(NO_DETAILS if row.details is NO_DETAILS else tuple(map(intern, row.details)))

    def by_detail(self) -> dict[Detail, list[str]]:
        """One column for each detail that any row has."""
        if all(row is NO_DETAILS for row in self.details):
            return {}
        columns = {name: [row[place] for row in self.details] for place, name in enumerate(DETAILS)}
        return {name: values for name, values in columns.items() if any(values)}


def _unless_empty(values: list[Value | None]) -> list[Value | None] | None:
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
