"""Brings a foreign model's columns and frames into this project's layout, and refuses what does not fit.

CTC rows have V+1 columns, blank last; decoder rows have V+1 columns, column V is the end of sentence.
Symbols: R rows (frames or positions), C columns of the foreign model, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kdspeech.audio import SAMPLE_RATE
from kdspeech.errors import TeacherError, VocabularyError
from kdspeech.logspace import LOG_ZERO, normalisation_error
from kdspeech.vocabulary import Vocabulary

_MAX_SUM_ERROR = 1e-2  # of a row's probabilities; half precision is far below, logits far above
_MAX_SPECIAL = (
    0.3  # mean probability of pieces that stand for no text; a misread blank has more, an untrained model less
)
_FRAME_TOLERANCE = 2  # frames; convolutions without padding lose one or two at the edges


@dataclass(frozen=True)
class ColumnMap:
    """Where each of our V+1 columns stands in a foreign distribution."""

    owner: str  # for messages: the teacher and the head
    num_foreign: int  # C
    sources: tuple[int | None, ...]  # V+1 foreign columns; None: the foreign model cannot say this (LOG_ZERO)
    special_columns: tuple[int, ...]  # ours, of pieces that stand for no text (<unk>, <s>, </s>)

    @classmethod
    def for_ctc(cls, owner: str, vocabulary: Vocabulary, num_columns: int, blank_index: int) -> ColumnMap:
        """The map of a CTC head.

        Args:
            num_columns: C. V: the blank borrows the column of a special piece (SpeechBrain). V+1: the blank is the last
                column (NeMo), or the first with every token moved up by one.
            blank_index: the blank's column.

        Raises:
            VocabularyError: C is neither, or the blank would cover a piece that stands for text.
        """
        if num_columns == vocabulary.size + 1 and blank_index == 0:
            sources = (*range(1, num_columns), 0)
            return cls(owner, num_columns, sources, tuple(sorted(vocabulary.special_ids)))
        return cls._with_own_ids(owner, vocabulary, num_columns, blank_index, "blank")

    @classmethod
    def for_decoder(cls, owner: str, vocabulary: Vocabulary, num_columns: int, eos_index: int) -> ColumnMap:
        """The map of an attention decoder: V columns, the end borrowing a special piece's, or V+1 with the end last.

        Raises:
            VocabularyError: as `for_ctc`.
        """
        return cls._with_own_ids(owner, vocabulary, num_columns, eos_index, "end of sentence")

    @classmethod
    def _with_own_ids(
        cls, owner: str, vocabulary: Vocabulary, num_columns: int, extra_index: int, extra: str
    ) -> ColumnMap:
        """Token columns are the vocabulary's ids; one more meaning stands at `extra_index`."""
        size = vocabulary.size
        if num_columns not in (size, size + 1):
            raise VocabularyError(
                f"{owner}: {num_columns} columns; its vocabulary has {size} pieces, so {size} or {size + 1} were "
                "expected. The head and the tokenizer are not of one model."
            )
        allowed = sorted(vocabulary.special_ids) if num_columns == size else [size]
        if extra_index not in allowed:
            where = f"the piece {vocabulary.pieces[extra_index]!r}" if 0 <= extra_index < size else "no piece"
            raise VocabularyError(
                f"{owner}: the {extra} is said to be column {extra_index} ({where}) of {num_columns}; expected one of "
                f"{allowed}. Its columns are shifted, or its settings name the wrong index: correct them."
            )
        pieces: list[int | None] = [None if i == extra_index else i for i in range(size)]
        special = tuple(sorted(vocabulary.special_ids - {extra_index}))
        return cls(owner, num_columns, (*pieces, extra_index), special)

    def apply(self, log_probs: np.ndarray) -> np.ndarray:
        """Permutes rows into our layout.

        Args:
            log_probs: [R, C] natural log-probabilities.

        Returns:
            float32 [R, V+1].

        Raises:
            VocabularyError: another number of columns than the map was made for.
            TeacherError: NaN, rows that are not log-probabilities, or a blank or end in another column than was said.
        """
        if log_probs.ndim != 2 or log_probs.shape[1] != self.num_foreign:
            raise VocabularyError(
                f"{self.owner}: log-probs of shape {list(log_probs.shape)}, expected [rows, {self.num_foreign}]. "
                "The model's output is not its head's."
            )
        if np.isnan(log_probs).any():
            raise TeacherError(f"{self.owner}: the output holds NaN. The checkpoint is broken; use another.")
        error = normalisation_error(log_probs)
        if not error <= _MAX_SUM_ERROR:
            raise TeacherError(
                f"{self.owner}: a row's probabilities miss the sum 1 by {error:.3g}: these are not log-probabilities. "
                "Let the model end in a log-softmax."
            )
        rows = np.full((len(log_probs), len(self.sources)), LOG_ZERO, dtype=np.float32)
        ours, theirs = self._pairs
        rows[:, ours] = np.maximum(log_probs[:, theirs], LOG_ZERO)
        self._check_special(rows)
        return rows

    @cached_property
    def _pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Our columns that have a source, and their sources."""
        pairs = [(ours, source) for ours, source in enumerate(self.sources) if source is not None]
        return np.array([ours for ours, _ in pairs]), np.array([source for _, source in pairs])

    def _check_special(self, rows: np.ndarray) -> None:
        """A blank-first model read as blank-last puts the blank's mass on <unk>, which no model says often."""
        if not len(rows) or not self.special_columns:
            return
        mass = np.exp(rows[:, list(self.special_columns)].astype(np.float64)).mean(axis=0)
        if mass.sum() > _MAX_SPECIAL:
            worst = self.sources[self.special_columns[int(mass.argmax())]]
            raise TeacherError(
                f"{self.owner}: {100 * mass.sum():.0f} % of the probability lies on pieces that stand for no text, "
                f"most in column {worst}. It is probably the blank or the end: correct the model's settings."
            )


def check_num_frames(owner: str, num_frames: int, num_samples: int, frame_shift_s: float) -> None:
    """Checks an observed frame count against the waveform's length.

    Raises:
        TeacherError: off by more than two frames: the frame shift is wrong, or padding was not cut off.
    """
    expected = num_samples / SAMPLE_RATE / frame_shift_s
    if abs(num_frames - expected) > _FRAME_TOLERANCE:
        raise TeacherError(
            f"{owner}: {num_frames} frames for {num_samples / SAMPLE_RATE:.3f} s of audio; its frame shift of "
            f"{frame_shift_s:g} s gives about {expected:.1f}. The frame shift is wrong, or padding was not cut off."
        )
