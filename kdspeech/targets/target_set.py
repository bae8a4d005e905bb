"""What a student learns from: one target per utterance, kept in one file.

Shapes: T teacher frames, U decoder positions (tokens + end of sentence), V vocabulary.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kdspeech import console
from kdspeech.dumps.packing import pack_rows, unpack_rows
from kdspeech.dumps.ragged import RaggedFile, write_ragged
from kdspeech.errors import StoreError
from kdspeech.folds import Provenance


@dataclass(frozen=True)
class Target:
    """The teachers' pooled word on one utterance."""

    utt_id: str
    ctc_log_probs: np.ndarray | None  # float32 [T, V+1], tempered; None if the teachers gave none
    frame_mask: np.ndarray | None  # bool [T], true where a student should learn from the frame
    decoder_log_probs: np.ndarray | None  # float32 [U, V+1], tempered; column V = end of sentence
    confidence: float  # share of the teachers that heard the most frequent hypothesis
    num_teachers: int
    counts: bool = True  # False: the teachers disagree too much for anything to be learnt here


class TargetSet(Mapping[str, Target]):
    """The targets of a fold, by utterance id."""

    def __init__(
        self,
        targets: Mapping[str, Target],
        *,
        frame_shift_s: float,
        temperature: float,
        provenance: Provenance,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Wraps targets, which may be computed as they are looked up.

        Args:
            frame_shift_s: seconds between two rows of `ctc_log_probs`.
            temperature: that of the distributions.
            provenance: whose speech they were made from.
            details: JSON values for the record: teachers, settings, hashes of what was read.
        """
        self._targets = targets
        self.frame_shift_s, self.temperature = frame_shift_s, temperature
        self.provenance, self.details = provenance, dict(details or {})

    def __getitem__(self, utt_id: str) -> Target:
        return self._targets[utt_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._targets)

    def __len__(self) -> int:
        return len(self._targets)

    def save(self, path: Path, top_k: int | None = None, dtype: str = "float16") -> None:
        """Writes one file, atomically; each target is looked up once and held in its stored form only.

        Args:
            top_k: columns kept a row, with the tail's mass; None keeps all.
            dtype: float16 or float32.

        Raises:
            StoreError: there are no targets, or some have a kind of distribution that others lack.
        """
        arrays: dict[str, list[np.ndarray]] = {}
        facts: list[tuple[float, int, bool]] = []
        num_columns = 0
        for utt_id in console.track(list(self), "Writing targets"):
            target = self[utt_id]
            packed: dict[str, np.ndarray] = {}
            for prefix, rows in (("ctc/", target.ctc_log_probs), ("decoder/", target.decoder_log_probs)):
                if rows is not None:
                    packed |= pack_rows(rows, top_k, dtype, prefix)
                    num_columns = rows.shape[1]
            if target.frame_mask is not None:
                packed["mask"] = target.frame_mask.astype(np.uint8)
            for name, item in packed.items():
                arrays.setdefault(name, []).append(item)
            facts.append((target.confidence, target.num_teachers, target.counts))
        uneven = [name for name, items in arrays.items() if len(items) != len(facts)]
        if not arrays or uneven:
            raise StoreError(f"{path}: targets need the same distributions for every utterance; uneven: {uneven}.")
        metadata = {
            "frame_shift_s": self.frame_shift_s,
            "temperature": self.temperature,
            "provenance": asdict(self.provenance),
            "details": self.details,
            "num_columns": num_columns,
            "utterance_ids": list(self),
            "confidences": [confidence for confidence, _, _ in facts],
            "num_teachers": [num_teachers for _, num_teachers, _ in facts],
        }
        if not all(counts for _, _, counts in facts):
            metadata["counts"] = [counts for _, _, counts in facts]
        write_ragged(path, metadata, arrays)

    @classmethod
    def load(cls, path: Path) -> "TargetSet":
        """Opens a file of targets; each is read from the memory map when it is looked up.

        Raises:
            StoreError: the file is missing, truncated, damaged or holds something else.
        """
        targets = _StoredTargets(path)
        row = targets.metadata
        speakers = row["provenance"]["speakers"]
        return cls(
            targets,
            frame_shift_s=row["frame_shift_s"],
            temperature=row["temperature"],
            provenance=Provenance(**{**row["provenance"], "speakers": None if speakers is None else tuple(speakers)}),
            details=row["details"],
        )


@dataclass
class _StoredTargets(Mapping[str, Target]):
    """Targets that are read when they are looked up; sent to another process, it opens the file anew."""

    path: Path
    _file: RaggedFile = field(init=False, repr=False)
    _index: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._file = RaggedFile(self.path)
        if "confidences" not in self._file.metadata:
            raise StoreError(f"{self.path} holds no targets. Run `kdspeech aggregate`.")
        self._file.check()
        self._index = {utt_id: index for index, utt_id in enumerate(self.metadata["utterance_ids"])}

    def __reduce__(self) -> tuple[type["_StoredTargets"], tuple[Path]]:
        return type(self), (self.path,)

    @property
    def metadata(self) -> dict[str, Any]:
        return self._file.metadata

    def __getitem__(self, utt_id: str) -> Target:
        index = self._index[utt_id]
        return Target(
            utt_id=utt_id,
            ctc_log_probs=self._rows("ctc/", index),
            frame_mask=self._file.item("mask", index).astype(bool) if self._file.has("mask") else None,
            decoder_log_probs=self._rows("decoder/", index),
            confidence=self.metadata["confidences"][index],
            num_teachers=self.metadata["num_teachers"][index],
            counts="counts" not in self.metadata or self.metadata["counts"][index],  # not kept where all do
        )

    def _rows(self, prefix: str, index: int) -> np.ndarray | None:
        if not self._file.has(prefix + "values"):
            return None
        return unpack_rows(self._file, index, self.metadata["num_columns"], prefix)

    def __iter__(self) -> Iterator[str]:
        return iter(self._index)

    def __len__(self) -> int:
        return len(self._index)
