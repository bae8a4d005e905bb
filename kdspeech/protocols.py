"""What the core asks of a teacher and of a student; `kdspeech.teachers` and `kdspeech.students` provide them.

Shapes: B batch, N samples, T frames, U decoder positions (tokens + end of sentence), V vocabulary, D model size.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from kdspeech.config import StudentConfig, TeacherConfig
from kdspeech.hypothesis import Hypothesis
from kdspeech.utterance import Utterance
from kdspeech.vocabulary import Vocabulary


@dataclass(frozen=True)
class ScoredText:
    """One hypothesis of a teacher."""

    text: str
    score: float  # natural log-probability of the path that gave it
    source: str  # ctc, decoder or transducer


@dataclass(frozen=True)
class TeacherScores:
    """What a teacher says of one utterance, in the project's id layout."""

    ctc_log_probs: np.ndarray | None  # float32 [T, V+1], blank last; None if the teacher has no CTC head
    decoder_log_probs: np.ndarray | None  # float32 [U, V+1], teacher-forced on the reference, column V = end
    hypotheses: tuple[ScoredText, ...]  # best first


@dataclass(frozen=True)
class TeacherCard:
    """`teacher.json`: what a teacher is and whose speech it has seen."""

    teacher_id: str  # the speaker it teaches
    backend: str  # speechbrain or nemo
    source: str  # folder, .nemo file or published name
    speakers: tuple[str, ...] | None  # every speaker heard in training, its initial checkpoint's too; None unknown
    checkpoint_sha256: str
    vocabulary_sha256: str


class Teacher(Protocol):
    """A recogniser that scores audio. Its outputs never depend on what else is in the batch."""

    card: TeacherCard
    vocabulary: Vocabulary
    frame_shift_s: float

    def score(self, waveforms: Sequence[np.ndarray], token_ids: Sequence[Sequence[int]]) -> list[TeacherScores]:
        """Scores utterances.

        Args:
            waveforms: float32 [N] each, 16 kHz.
            token_ids: the reference's ids in `vocabulary`, without begin or end of sentence.
        """
        ...


class TeacherLoader(Protocol):
    """What scoring asks of `kdspeech.teachers`."""

    def load_teacher(self, folder: Path) -> Teacher:
        """Loads a teacher by its `teacher.json`."""
        ...


class TeacherRegistry(TeacherLoader, Protocol):
    """What bringing a foreign model asks of it."""

    def register_teacher(self, speaker: str, source: str, folder: Path) -> None:
        """Writes `teacher.json` for a teacher of the user's own."""
        ...


class TeacherFamily(TeacherRegistry, Protocol):
    """The module `kdspeech.teachers`, whole."""

    def train_initial(self, config: TeacherConfig, vocabulary: Vocabulary, folder: Path, seed: int) -> None:
        """Writes the one untrained checkpoint from which every teacher starts."""
        ...

    def train_teacher(
        self,
        config: TeacherConfig,
        vocabulary: Vocabulary,
        initial: Path,
        folder: Path,
        speaker: str,
        train: Sequence[Utterance],
        valid: Sequence[Utterance],
        seed: int,
    ) -> None:
        """Trains one speaker's teacher from `initial` and writes its folder: a log row an epoch, its card last."""
        ...


class PretrainableTeachers(TeacherRegistry, Protocol):
    """What pretraining asks of `kdspeech.teachers`."""

    def pretrain_initial(
        self,
        config: TeacherConfig,
        vocabulary: Vocabulary,
        folder: Path,
        work: Path,
        train: Sequence[Utterance],
        valid: Sequence[Utterance],
        seed: int,
    ) -> None:
        """Writes a trained start for every teacher to `folder`, its card last; goes on from what `work` holds."""
        ...


@dataclass(frozen=True)
class Encoded:
    """The encoder's output."""

    states: torch.Tensor  # [B, T, D]
    num_frames: torch.Tensor  # int64 [B], valid frames
    intermediate: torch.Tensor | None = None  # [B, T, D], of the layer student.intermediate_layer, where there is one


@dataclass(frozen=True)
class StudentOutput:
    """One forward pass; all log-probs are normalised."""

    ctc_log_probs: torch.Tensor  # [B, T, V+1], blank last
    num_frames: torch.Tensor  # int64 [B]
    decoder_log_probs: torch.Tensor | None  # [B, U, V+1], column V = end of sentence
    intermediate_log_probs: torch.Tensor | None = None  # [B, T, V+1], of the second CTC head, where there is one
    encoded: Encoded | None = None  # for further passes of the decoder


class Student(Protocol):
    """The model that is trained: a torch.nn.Module with these methods."""

    vocabulary: Vocabulary
    frame_shift_s: float

    def encode(self, waveforms: torch.Tensor, lengths: torch.Tensor) -> Encoded:
        """waveforms [B, N] at 16 kHz, lengths int64 [B] in samples."""
        ...

    def ctc_log_probs(self, encoded: Encoded) -> torch.Tensor:
        """[B, T, V+1]."""
        ...

    def decoder_log_probs(self, encoded: Encoded, decoder_inputs: torch.Tensor) -> torch.Tensor:
        """Log-probs of the next token at each position.

        Args:
            decoder_inputs: int64 [B, U]; column 0 is V (begin of sentence), padding is V too.

        Returns:
            [B, U, V+1]; position u depends on inputs 0..u only.
        """
        ...

    def forward(
        self, waveforms: torch.Tensor, lengths: torch.Tensor, decoder_inputs: torch.Tensor | None = None
    ) -> StudentOutput:
        """All of it."""
        ...

    def parts(self) -> Mapping[str, torch.nn.Module]:
        """What a stage can train or freeze: `encoder`, `ctc_head`, `decoder`."""
        ...


class TrainableStudent(Student, Protocol):
    """What training asks of a student beyond decoding."""

    config: StudentConfig  # rebuilds the architecture, without the checkpoint that it may have started from

    def num_frames(self, lengths: torch.Tensor) -> torch.Tensor:
        """Frames that `encode` gives to utterances of `lengths` samples, without running it; int64 [B]."""
        ...


class CtcSearchFamily(Protocol):
    """What decoding asks of `kdspeech.students`: the toolkit's own search."""

    def ctc_search(
        self, vocabulary: Vocabulary, beam: int, lm: Path | None = None, lm_weight: float = 0.0
    ) -> Callable[[torch.Tensor, torch.Tensor], list[Hypothesis]]:
        """A beam search over CTC log-probs [B, T, V+1] with num_frames [B]; all that it found is in `n_best`.

        Args:
            lm: n-gram language model over token ids.
            lm_weight: of its log-probs beside CTC's.
        """
        ...


class StudentFamily(Protocol):
    """The module `kdspeech.students`."""

    def build_student(self, config: StudentConfig, vocabulary: Vocabulary, seed: int) -> Any:
        """A student to be trained: a torch.nn.Module that is a `TrainableStudent`. Same seed, same weights."""
        ...

    def starting_speakers(self, config: StudentConfig) -> tuple[str, ...] | None:
        """Speakers heard by the checkpoint that the student starts from; () from scratch, None unknown."""
        ...


class DecodableStudents(StudentFamily, CtcSearchFamily, Protocol):
    """What evaluation asks of it."""


class PretrainableStudents(StudentFamily, Protocol):
    """What pretraining asks of it."""

    def export_encoder(self, student: Any, path: Path) -> None:
        """Writes a student's encoder and CTC head as a .nemo file."""
        ...
