"""One shard of the log-prob store: what one teacher says, in one kind, of one speaker's recordings.

Kinds, with the shape of an utterance's row (T frames, U tokens + end of sentence, V vocabulary, W lexicon words):
`ctc` [T, V+1], blank last · `decoder` [U, V+1], teacher-forced on the reference, column V = end of sentence ·
`word` [W], log posteriors over the lexicon · `hypotheses`, n-best texts with scores.

`ctc` and `decoder` rows can be sparse; see kdspeech.dumps.packing for how rows are stored.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from kdspeech.choices import Kind
from kdspeech.config import DumpConfig
from kdspeech.dumps.packing import pack_rows, unpack_rows
from kdspeech.dumps.ragged import RaggedFile, write_ragged
from kdspeech.errors import StoreError
from kdspeech.files import sha256_of_text
from kdspeech.lexicon import Lexicon
from kdspeech.protocols import ScoredText, TeacherCard
from kdspeech.utterance import Utterance

Row = np.ndarray | tuple[ScoredText, ...]  # of one utterance
PER_TOKEN_KINDS: tuple[Kind, ...] = ("ctc", "decoder")  # their columns are pieces of a vocabulary


@dataclass(frozen=True)
class ShardKey:
    """What a shard is made of; known before the teacher is loaded, and equal for equal content."""

    teacher_id: str
    kind: Kind
    speaker: str  # whose recordings were scored
    checkpoint_sha256: str  # the teacher's
    vocabulary_sha256: str  # the teacher's
    lexicon_sha256: str | None  # kind `word` only
    top_k: int | None  # None: all columns are kept
    dtype: str  # of the values: float16, float32, or uint8 for texts
    utterances_sha256: str  # of the recordings and their references

    @classmethod
    def of(
        cls, card: TeacherCard, kind: Kind, utterances: Sequence[Utterance], config: DumpConfig, lexicon: Lexicon | None
    ) -> "ShardKey":
        """The key of one speaker's utterances as `config` wants them stored."""
        return cls(
            teacher_id=card.teacher_id,
            kind=kind,
            speaker=utterances[0].speaker,
            checkpoint_sha256=card.checkpoint_sha256,
            vocabulary_sha256=card.vocabulary_sha256,
            lexicon_sha256=lexicon.sha256 if kind == "word" and lexicon else None,
            top_k=config.top_k if kind in PER_TOKEN_KINDS else None,
            dtype="uint8" if kind == "hypotheses" else config.dtype,
            utterances_sha256=sha256_of_recordings(utterances),
        )


def sha256_of_recordings(utterances: Sequence[Utterance]) -> str:
    """Of what a teacher hears and is fed with: ids, audio and transcripts, in their order."""
    described = ((u.utt_id, u.audio_sha256 or u.audio_filepath, u.text) for u in utterances)
    return sha256_of_text("\n".join("\t".join(entry) for entry in described))


@dataclass(frozen=True)
class ShardHeader:
    """A shard describes itself."""

    key: ShardKey
    teacher_speakers: tuple[str, ...] | None  # whose speech the teacher has heard; None unknown
    num_columns: int | None  # of a row; None for texts
    blank_id: int | None  # the blank's column, in `decoder` the end of sentence; None for other kinds
    frame_shift_s: float  # seconds between two rows of `ctc`
    utterance_ids: tuple[str, ...]

    @classmethod
    def from_metadata(cls, metadata: dict[str, Any], path: Path) -> "ShardHeader":
        """Reads a file's header.

        Raises:
            StoreError: it is not a shard's.
        """
        row: dict[str, Any] = {field.name: metadata.get(field.name) for field in fields(cls)}
        try:
            speakers = row["teacher_speakers"]
            row["key"] = ShardKey(**row["key"])
            row["teacher_speakers"] = None if speakers is None else tuple(speakers)
            row["utterance_ids"] = tuple(row["utterance_ids"])
            return cls(**row)
        except TypeError as error:
            raise StoreError(f"{path} does not describe itself as a shard ({error}). Dump it again.") from error


class ShardWriter:
    """Collects a shard's rows, already in their stored form, and writes them in one go."""

    def __init__(self, path: Path, header: ShardHeader) -> None:
        self._path, self._header = path, header
        self._ids = frozenset(header.utterance_ids)
        self._rows: dict[str, dict[str, np.ndarray]] = {}

    def add(self, utt_id: str, row: Row) -> None:
        """Takes one utterance's row.

        Raises:
            StoreError: the header does not list the id, or the row has another number of columns than it says.
        """
        if utt_id not in self._ids:
            raise StoreError(f"{self._path}: {utt_id!r} is not among the {len(self._ids)} utterances of its header.")
        self._rows[utt_id] = _encode_texts(row) if isinstance(row, tuple) else self._encode(utt_id, row)

    def write(self) -> None:
        """Writes the file atomically.

        Raises:
            StoreError: a row is missing, listing the ids.
        """
        missing = [utt_id for utt_id in self._header.utterance_ids if utt_id not in self._rows]
        if missing:
            raise StoreError(f"{self._path}: no rows for {len(missing)} utterances: {', '.join(missing[:5])}.")
        rows = [self._rows[utt_id] for utt_id in self._header.utterance_ids]
        write_ragged(self._path, asdict(self._header), {name: [row[name] for row in rows] for name in rows[0]})

    def _encode(self, utt_id: str, row: np.ndarray) -> dict[str, np.ndarray]:
        key, num_columns = self._header.key, self._header.num_columns
        expected_axes = 1 if key.kind == "word" else 2
        if row.ndim != expected_axes or row.shape[-1] != num_columns:
            raise StoreError(
                f"{self._path}: the {key.kind} row of {utt_id!r} has shape {list(row.shape)}, "
                f"expected {num_columns} columns."
            )
        return pack_rows(np.atleast_2d(row), key.top_k, key.dtype)


class Shard:
    """A shard that is open in this process, its payload checked."""

    def __init__(self, path: Path) -> None:
        """Opens and checks a shard.

        Raises:
            StoreError: it is missing, truncated, damaged, or its rows are not those of its utterance ids.
        """
        self._file = RaggedFile(path)
        self.header = ShardHeader.from_metadata(self._file.metadata, path)
        self._file.check()
        num_rows, num_ids = self._file.num_items("values"), len(self.header.utterance_ids)
        if num_rows != num_ids:
            raise StoreError(f"{path} has rows for {num_rows} utterances, its header lists {num_ids}. Dump it again.")
        self._index = {utt_id: index for index, utt_id in enumerate(self.header.utterance_ids)}

    def __contains__(self, utt_id: str) -> bool:
        return utt_id in self._index

    def row(self, utt_id: str) -> Row:
        """One utterance: texts, or dense normalised float32 log-probs in its kind's shape."""
        index, header = self._index[utt_id], self.header
        if header.num_columns is None:
            texts = json.loads(self._file.item("values", index).tobytes().decode())
            return tuple(ScoredText(**text) for text in texts)
        rows = unpack_rows(self._file, index, header.num_columns)
        return rows[0] if header.key.kind == "word" else rows


def read_header(path: Path) -> tuple[ShardHeader, str]:
    """A shard's header and its payload's SHA-256, without reading the payload.

    Raises:
        StoreError: the file is missing, truncated or not a shard.
    """
    file = RaggedFile(path)
    return ShardHeader.from_metadata(file.metadata, path), file.payload_sha256


def _encode_texts(texts: tuple[ScoredText, ...]) -> dict[str, np.ndarray]:
    encoded = json.dumps([asdict(text) for text in texts], ensure_ascii=False).encode()
    return {"values": np.frombuffer(encoded, dtype=np.uint8)}
