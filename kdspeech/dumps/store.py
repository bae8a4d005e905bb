"""The log-prob store: `dumps/<teacher>/<kind>/<audio speaker>.safetensors`, joined by utterance id.

A teacher is dumped once per speaker, whatever fold later uses it. A read names the utterances it wants and gets all of
them or an error with the missing ids: rows are never matched by position.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kdspeech.choices import KINDS, Kind
from kdspeech.dumps.shard import (
    PER_TOKEN_KINDS,
    Row,
    Shard,
    ShardHeader,
    ShardKey,
    ShardWriter,
    read_header,
    sha256_of_recordings,
)
from kdspeech.errors import StoreError
from kdspeech.lexicon import Lexicon
from kdspeech.utterance import Utterance
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace

_LISTED = 5  # missing ids in a message


class LogProbStore:
    """A folder of shards. It can be sent to another process, which opens the files anew."""

    def __init__(self, root: Path, recordings: Mapping[str, str] | None = None) -> None:
        """`recordings`: speaker -> hash of the recordings as they are now; what was made of others is refused."""
        self.root = root
        self._recordings = dict(recordings or {})
        self._shards: dict[Path, Shard] = {}
        self._process_id = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_shards": {}, "_process_id": -1}

    def path(self, teacher_id: str, kind: Kind, speaker: str) -> Path:
        """The shard's file."""
        return self.root / teacher_id / kind / f"{speaker}.safetensors"

    def writer(self, header: ShardHeader) -> ShardWriter:
        """Collects a shard's rows one by one; its `write` then writes them all, atomically."""
        path = self.path(header.key.teacher_id, header.key.kind, header.key.speaker)
        self._shards.pop(path, None)
        return ShardWriter(path, header)

    def has(self, key: ShardKey) -> bool:
        """True if the shard is there, opens, and was made of exactly this; the payload is not read."""
        try:
            header, _ = read_header(self.path(key.teacher_id, key.kind, key.speaker))
        except StoreError:  # missing, truncated or of another format: it has to be made again
            return False
        return header.key == key

    def describe(self, teacher_id: str, kind: Kind, speaker: str) -> tuple[ShardHeader, str]:
        """A shard's header and its payload's SHA-256, which identifies its content; the payload is not read.

        Raises:
            StoreError: it is missing or of other recordings, with the command that makes it, or unreadable.
        """
        header, payload_sha256 = read_header(self._existing(teacher_id, kind, speaker))
        self._check_recordings(header)
        return header, payload_sha256

    def read(
        self,
        teacher_id: str,
        kind: Kind,
        utterances: Sequence[Utterance],
        *,
        checkpoint_sha256: str | None = None,
        vocabulary: Vocabulary | None = None,
        lexicon: Lexicon | None = None,
    ) -> Mapping[str, Row]:
        """Joins utterances with a teacher's rows, by utterance id.

        Only the shards of these utterances' speakers are opened.

        Args:
            checkpoint_sha256: of the teacher as it is now; refuses what an earlier one said.
            vocabulary: whose pieces the columns of `ctc` and `decoder` must be.
            lexicon: whose words the columns of `word` must be.

        Returns:
            One row per utterance, in their order; each is read from the memory map when it is looked up.

        Raises:
            StoreError: a shard is missing, damaged or made by another checkpoint or lexicon or of other recordings, or
                utterances are missing: the message lists them and names the command to run.
            VocabularyError: the rows are over another vocabulary.
        """
        shards: dict[str, Shard] = {}
        for speaker in dict.fromkeys(utterance.speaker for utterance in utterances):
            shard = shards[speaker] = self._shard(self._existing(teacher_id, kind, speaker))
            _check_origin(
                shard.header, self.path(teacher_id, kind, speaker), teacher_id, kind, speaker, checkpoint_sha256
            )
            _check_columns(shard.header, self.path(teacher_id, kind, speaker), vocabulary, lexicon)
        missing = [u for u in utterances if u.utt_id not in shards[u.speaker]]
        if missing:
            speakers = list(dict.fromkeys(u.speaker for u in missing))
            raise StoreError(
                f"{self.root}: teacher {teacher_id} has no {kind} rows for {len(missing)} of {len(utterances)} "
                f"utterances: {', '.join(u.utt_id for u in missing[:_LISTED])}"
                f"{', ...' if len(missing) > _LISTED else ''}. " + _advice(teacher_id, speakers)
            )
        for shard in shards.values():
            self._check_recordings(shard.header)
        return _StoredRows(self, {u.utt_id: self.path(teacher_id, kind, u.speaker) for u in utterances})

    def _check_recordings(self, header: ShardHeader) -> None:
        key = header.key
        if self._recordings.get(key.speaker, key.utterances_sha256) != key.utterances_sha256:
            raise StoreError(
                f"{self.path(key.teacher_id, key.kind, key.speaker)} was made before a recording or a transcript of "
                f"{key.speaker} changed in the manifest. {_advice(key.teacher_id, [key.speaker])}"
            )

    def _existing(self, teacher_id: str, kind: Kind, speaker: str) -> Path:
        path = self.path(teacher_id, kind, speaker)
        if not path.exists():
            raise StoreError(
                f"{path} does not exist: teacher {teacher_id} has not scored the recordings of {speaker} ({kind}). "
                f"{_advice(teacher_id, [speaker])} If it gives no {kind}, leave the kind out, here and before: "
                f"--set dump.kinds=[{','.join(name for name in KINDS if name != kind)}]."
            )
        return path

    def _shard(self, path: Path) -> Shard:
        if self._process_id != os.getpid():  # a forked or unpickled store
            self._shards, self._process_id = {}, os.getpid()
        if path not in self._shards:
            self._shards[path] = Shard(path)
        return self._shards[path]


def open_store(workspace: Workspace) -> LogProbStore:
    """The workspace's store, held against its manifest."""
    by_speaker: dict[str, list[Utterance]] = {}
    for utterance in workspace.utterances:
        by_speaker.setdefault(utterance.speaker, []).append(utterance)
    recordings = {speaker: sha256_of_recordings(utterances) for speaker, utterances in by_speaker.items()}
    return LogProbStore(workspace.dumps_dir, recordings)


class _StoredRows(Mapping[str, Row]):
    """Rows that are read when they are looked up."""

    def __init__(self, store: LogProbStore, paths: Mapping[str, Path]) -> None:
        self._store, self._paths = store, dict(paths)

    def __getitem__(self, utt_id: str) -> Row:
        return self._store._shard(self._paths[utt_id]).row(utt_id)

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


def _advice(teacher_id: str, speakers: Sequence[str]) -> str:
    return f"Run `kdspeech dump-teachers --speakers {teacher_id} --on {','.join(speakers)}`."


def _check_origin(
    header: ShardHeader, path: Path, teacher_id: str, kind: Kind, speaker: str, checkpoint_sha256: str | None
) -> None:
    key, advice = header.key, _advice(teacher_id, [speaker])
    if (key.teacher_id, key.kind, key.speaker) != (teacher_id, kind, speaker):
        raise StoreError(
            f"{path} is a misplaced file: its header says teacher {key.teacher_id}, kind {key.kind}, recordings of "
            f"{key.speaker}. {advice}"
        )
    if checkpoint_sha256 not in (None, key.checkpoint_sha256):
        raise StoreError(
            f"{path} was written by another checkpoint of teacher {teacher_id}: {key.checkpoint_sha256[:12]}, "
            f"the teacher is now {str(checkpoint_sha256)[:12]}. {advice}"
        )


def _check_columns(header: ShardHeader, path: Path, vocabulary: Vocabulary | None, lexicon: Lexicon | None) -> None:
    key = header.key
    advice = _advice(key.teacher_id, [key.speaker])
    if key.kind in PER_TOKEN_KINDS and vocabulary is not None:
        vocabulary.check_same(key.vocabulary_sha256, str(path))
        if (header.num_columns, header.blank_id) != (vocabulary.num_columns, vocabulary.blank_id):
            raise StoreError(
                f"{path} has {header.num_columns} columns with the blank in column {header.blank_id}, expected "
                f"{vocabulary.num_columns} with the blank in {vocabulary.blank_id}. {advice}"
            )
    if key.kind == "word" and lexicon is not None and key.lexicon_sha256 != lexicon.sha256:
        raise StoreError(
            f"{path} was scored over lexicon {str(key.lexicon_sha256)[:12]}, the workspace has {lexicon.sha256[:12]}. "
            + advice
        )
