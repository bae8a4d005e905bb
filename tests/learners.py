"""A student that learns, small enough to train in a second, and recipes for it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from kdspeech.audio import SAMPLE_RATE
from kdspeech.config import Recipe, StudentConfig, TeacherConfig
from kdspeech.decoding.ctc import greedy_ctc
from kdspeech.errors import TeacherError
from kdspeech.files import sha256_of_text
from kdspeech.hypothesis import Hypothesis
from kdspeech.model_folders.pretrained import speakers_heard
from kdspeech.model_folders.student_folder import is_student_folder, read_student
from kdspeech.model_folders.teacher_folder import write_teacher_card
from kdspeech.protocols import Encoded, StudentOutput, Teacher, TeacherCard
from kdspeech.recipe_file import load_recipe
from kdspeech.utterance import Utterance
from kdspeech.vocabulary import Vocabulary
from tests.doubles import heard

SAMPLES_PER_FRAME = 640


class TinyEncoder(nn.Module):
    """A linear map of each 40 ms of samples, with BatchNorm and dropout: what makes resuming and freezing hard."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.linear = nn.Linear(SAMPLES_PER_FRAME, size)
        self.norm = nn.BatchNorm1d(size)
        self.dropout = nn.Dropout(0.2)

    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        """waveforms [B, N] -> states [B, T, D]."""
        num_frames = waveforms.shape[1] // SAMPLES_PER_FRAME
        frames = waveforms[:, : num_frames * SAMPLES_PER_FRAME].unflatten(1, (num_frames, SAMPLES_PER_FRAME))
        states = self.norm(self.linear(frames).transpose(1, 2)).transpose(1, 2)
        return self.dropout(states.tanh())


class TinyDecoder(nn.Module):
    """The mean of the states plus what was said so far, through one layer."""

    def __init__(self, size: int, num_columns: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(num_columns, size)
        self.output = nn.Linear(size, num_columns)

    def forward(self, states: torch.Tensor, decoder_inputs: torch.Tensor) -> torch.Tensor:
        """states [B, T, D], decoder_inputs [B, U] -> log-probs [B, U, V+1]."""
        said = self.embedding(decoder_inputs).cumsum(dim=1)  # [B, U, D]
        return self.output(states.mean(dim=1, keepdim=True) + said).log_softmax(dim=-1)


class TinyStudent(nn.Module):
    """A `kdspeech.protocols.TrainableStudent` of about 15 thousand parameters."""

    frame_shift_s = SAMPLES_PER_FRAME / SAMPLE_RATE

    def __init__(self, config: StudentConfig, vocabulary: Vocabulary, size: int = 16) -> None:
        super().__init__()
        self.config, self.vocabulary = config, vocabulary
        self.encoder = TinyEncoder(size)
        self.ctc_head = nn.Linear(size, vocabulary.num_columns)
        self.decoder = TinyDecoder(size, vocabulary.num_columns)

    def parts(self) -> Mapping[str, nn.Module]:
        return {"encoder": self.encoder, "ctc_head": self.ctc_head, "decoder": self.decoder}

    def num_frames(self, lengths: torch.Tensor) -> torch.Tensor:
        return lengths // SAMPLES_PER_FRAME

    def encode(self, waveforms: torch.Tensor, lengths: torch.Tensor) -> Encoded:
        return Encoded(self.encoder(waveforms), self.num_frames(lengths))

    def ctc_log_probs(self, encoded: Encoded) -> torch.Tensor:
        return self.ctc_head(encoded.states).log_softmax(dim=-1)

    def decoder_log_probs(self, encoded: Encoded, decoder_inputs: torch.Tensor) -> torch.Tensor:
        return self.decoder(encoded.states, decoder_inputs)

    def forward(
        self, waveforms: torch.Tensor, lengths: torch.Tensor, decoder_inputs: torch.Tensor | None = None
    ) -> StudentOutput:
        encoded = self.encode(waveforms, lengths)
        decoded = None if decoder_inputs is None else self.decoder_log_probs(encoded, decoder_inputs)
        return StudentOutput(self.ctc_log_probs(encoded), encoded.num_frames, decoded)


class TinyStudents:
    """A student family of TinyStudents; `speakers` is what their starting checkpoint is said to have heard."""

    def __init__(self, speakers: Sequence[str] = (), student: type[TinyStudent] = TinyStudent) -> None:
        self._speakers, self._student = tuple(speakers), student

    def build_student(self, config: StudentConfig, vocabulary: Vocabulary, seed: int) -> TinyStudent:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return self._student(config, vocabulary)

    def starting_speakers(self, config: StudentConfig) -> tuple[str, ...] | None:
        return self._speakers

    def ctc_search(
        self, vocabulary: Vocabulary, beam: int, lm: Path | None = None, lm_weight: float = 0.0
    ) -> Callable[[torch.Tensor, torch.Tensor], list[Hypothesis]]:
        """Greedy, whatever was asked for."""
        return lambda log_probs, num_frames: greedy_ctc(log_probs, num_frames, vocabulary)


def tiny_recipe(stages: Sequence[Mapping[str, Any]] = (), **training: Any) -> Recipe:
    """The small shipped recipe with short stages: by default one of two epochs.

    Recordings are heard as they are: the doubles' words are amplitudes, which a channel turns into others. Frames are
    compared one by one, without a delay.
    """
    recipe = load_recipe("conformer_xs_from_speechbrain", ("teacher.colouring=null",))
    base = recipe.stages[0].model_copy(update={"epochs": 2, "learning_rate": 1e-2})
    settings = {"batch_size": 8, "colouring": None, "frame_kl": None, **training}
    return recipe.model_copy(
        update={
            "stages": tuple(base.model_copy(update=dict(stage)) for stage in stages or ({},)),
            "training": recipe.training.model_copy(update=settings),
        }
    )


class PretrainableStudents(TinyStudents):
    """TinyStudents that can be stored, and taken up from `student.encoder`, a file or a student's folder."""

    def build_student(self, config: StudentConfig, vocabulary: Vocabulary, seed: int) -> TinyStudent:
        student = super().build_student(config, vocabulary, seed)
        if config.encoder is not None:
            folder = Path(config.encoder)
            is_folder = is_student_folder(folder)
            student.load_state_dict(
                read_student(folder).weights if is_folder else torch.load(folder, weights_only=True)
            )
        return student

    def export_encoder(self, student: TinyStudent, path: Path) -> None:
        torch.save(student.state_dict(), path)

    def starting_speakers(self, config: StudentConfig) -> tuple[str, ...] | None:
        return () if config.encoder is None else speakers_heard(Path(config.encoder))


@dataclass
class PretrainableTeachers:
    """A teacher family that writes down what a pretraining asks of it; it fails the first `failures` times."""

    failures: int = 0
    heard: list[list[str]] = field(default_factory=list)  # texts, by call

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
        self.heard.append([u.text for u in train])
        if len(self.heard) <= self.failures:
            raise TeacherError("killed")
        checkpoint = sha256_of_text(f"{config} {seed}")
        write_teacher_card(folder, TeacherCard("initial", "double", ".", (), checkpoint, vocabulary.sha256))

    def load_teacher(self, folder: Path) -> Teacher:
        raise NotImplementedError

    def register_teacher(self, speaker: str, source: str, folder: Path) -> None:
        raise NotImplementedError


class HearingEncoder(TinyEncoder):
    """Learns from which word a synthetic waveform names and from the frame's number: any voice sounds the same."""

    def __init__(self, size: int, num_words: int, num_places: int = 16) -> None:
        super().__init__(size)
        self.num_words, self.num_places = num_words, num_places
        self.linear = nn.Linear(num_words * num_places, size)
        self.dropout = nn.Dropout(0.0)

    def hear(self, waveforms: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """waveforms [B, N], lengths [B] -> states [B, T, D]."""
        num_frames = waveforms.shape[1] // SAMPLES_PER_FRAME
        places = torch.arange(num_frames).clamp(max=self.num_places - 1)  # [T]
        pairs = zip(waveforms, lengths.tolist(), strict=True)
        words = torch.tensor([heard(waveform[:length].numpy())[0] for waveform, length in pairs])  # [B]
        columns = words.clamp(0, self.num_words - 1)[:, None] * self.num_places + places  # [B, T]
        features = nn.functional.one_hot(columns, self.num_words * self.num_places).float()
        states = self.norm(self.linear(features).transpose(1, 2)).transpose(1, 2)
        return states.tanh()


class HearingDecoder(TinyDecoder):
    """A TinyDecoder with a layer in between, so that what comes next can depend on word and prefix together."""

    def __init__(self, size: int, num_columns: int) -> None:
        super().__init__(size, num_columns)
        self.hidden = nn.Linear(size, size)

    def forward(self, states: torch.Tensor, decoder_inputs: torch.Tensor) -> torch.Tensor:
        said = self.embedding(decoder_inputs).cumsum(dim=1)  # [B, U, D]
        word = states[:, :8].mean(dim=1, keepdim=True)  # the frames that every recording has, whatever the padding
        return self.output(self.hidden(word + said).tanh()).log_softmax(dim=-1)


class HearingStudent(TinyStudent):
    """Learns the words of `make_workspace` in a few epochs, for every speaker."""

    num_words = 10

    def __init__(self, config: StudentConfig, vocabulary: Vocabulary, size: int = 48) -> None:
        super().__init__(config, vocabulary, size)
        self.encoder: HearingEncoder = HearingEncoder(size, self.num_words)
        self.decoder = HearingDecoder(size, vocabulary.num_columns)

    def encode(self, waveforms: torch.Tensor, lengths: torch.Tensor) -> Encoded:
        return Encoded(self.encoder.hear(waveforms, lengths), self.num_frames(lengths))


class Killed(BaseException):
    """As a signal would end the process."""


@contextmanager
def killed_after(epochs: int) -> Iterator[None]:
    """What trains within is killed when this many epochs are stored, and must not end before."""
    seen: list[int] = []

    def stop(*_: Any) -> str:
        seen.append(1)
        if len(seen) == epochs:
            raise Killed
        return ""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kdspeech.training.stage_runner._epoch_line", stop)
        with pytest.raises(Killed):
            yield
