"""Test doubles: teachers and students that read the word off a synthetic waveform, and a small workspace around them.

A recording's first half is a constant that names the word, its second half one that names the speaker, so a FakeTeacher
needs no training and its answers can be written down by hand.
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
import torch

from kdspeech.audio import SAMPLE_RATE
from kdspeech.config import StudentConfig
from kdspeech.decoding.ctc import greedy_ctc
from kdspeech.dumps.shard import Row, ShardHeader
from kdspeech.dumps.store import LogProbStore
from kdspeech.files import read_json, sha256_of_text, write_json
from kdspeech.hypothesis import Hypothesis
from kdspeech.lexicon import Lexicon
from kdspeech.model_folders.teacher_folder import read_teacher_card, write_teacher_card
from kdspeech.protocols import Encoded, ScoredText, StudentOutput, TeacherCard, TeacherScores
from kdspeech.utterance import Utterance, write_manifest
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import CorpusCard, Workspace

STEP = 0.01  # amplitude between two neighbouring words or speakers


def synthetic_waveform(word_index: int, speaker_index: int, duration: float = 0.8) -> np.ndarray:
    """float32 [N] at 16 kHz that names a word and a speaker."""
    half = int(duration * SAMPLE_RATE) // 2
    return np.repeat(np.array([word_index + 1, speaker_index + 1], dtype=np.float32) * STEP, half)


def heard(waveform: np.ndarray) -> tuple[int, int]:
    """(word index, speaker index) of a synthetic waveform."""
    half = len(waveform) // 2
    return round(float(waveform[:half].mean()) / STEP) - 1, round(float(waveform[half:].mean()) / STEP) - 1


def peaked_log_probs(columns: Sequence[int], num_columns: int, peak: float) -> np.ndarray:
    """float32 [len(columns), num_columns]: probability `peak` on each row's column, the rest spread evenly."""
    rows = np.full((len(columns), num_columns), (1 - peak) / (num_columns - 1), dtype=np.float64)
    rows[np.arange(len(columns)), list(columns)] = peak
    return np.log(rows).astype(np.float32)


@dataclass(frozen=True)
class Behaviour:
    """How a FakeTeacher answers; by default it hears every word of every speaker rightly."""

    deaf_to: tuple[int, ...] = ()  # indices of speakers whose words it takes for the next word of the lexicon
    peak: float = 0.9  # probability of the column it believes in
    frame_shift_s: float = 0.04
    extra_frames: int = 0  # a wrong frame count
    column_shift: int = 0  # moves all columns: 1 puts the blank first and shifts every piece
    missing_columns: int = 0  # last columns that it leaves out
    has_ctc: bool = True
    unnormalised: bool = False
    not_finite: bool = False


class FakeTeacher:
    """A `Teacher` whose every output follows from the waveform."""

    def __init__(
        self, card: TeacherCard, vocabulary: Vocabulary, words: Sequence[str], behaviour: Behaviour | None = None
    ) -> None:
        self.card, self.vocabulary, self.words = card, vocabulary, tuple(words)
        self.behaviour = behaviour or Behaviour()
        self.frame_shift_s = self.behaviour.frame_shift_s

    def score(self, waveforms: Sequence[np.ndarray], token_ids: Sequence[Sequence[int]]) -> list[TeacherScores]:
        return [self._score_one(waveform, tokens) for waveform, tokens in zip(waveforms, token_ids, strict=True)]

    def word_heard(self, waveform: np.ndarray) -> str:
        """The word that the teacher believes in."""
        word, speaker = heard(waveform)
        return self.words[(word + (speaker in self.behaviour.deaf_to)) % len(self.words)]

    def _score_one(self, waveform: np.ndarray, reference: Sequence[int]) -> TeacherScores:
        how, blank, text = self.behaviour, self.vocabulary.blank_id, self.word_heard(waveform)
        tokens = self.vocabulary.encode(text)
        num_frames = round(len(waveform) / SAMPLE_RATE / how.frame_shift_s) + how.extra_frames
        path = [blank] * num_frames
        path[1 : 2 * len(tokens) : 2] = tokens  # a blank before, between and after
        num_positions = len(reference) + 1
        positions = [*tokens, *[blank] * num_positions][:num_positions]
        return TeacherScores(
            ctc_log_probs=self._distort(path) if how.has_ctc else None,
            decoder_log_probs=self._distort(positions),
            hypotheses=(ScoredText(text, num_frames * float(np.log(how.peak)), "ctc"),),
        )

    def _distort(self, columns: Sequence[int]) -> np.ndarray:
        how, width = self.behaviour, self.vocabulary.num_columns
        rows = peaked_log_probs([(c + how.column_shift) % width for c in columns], width, how.peak)
        rows = rows[:, : width - how.missing_columns]
        if how.unnormalised:
            rows = rows + 1.0
        if how.not_finite:
            rows[0, 0] = np.nan
        return rows


class FakeTeachers:
    """A teacher family (for reading): loads FakeTeachers from their folders and counts the loads."""

    def __init__(self) -> None:
        self.loaded: list[str] = []

    def load_teacher(self, folder: Path) -> FakeTeacher:
        card, row = read_teacher_card(folder), read_json(folder / "fake.json")
        behaviour = Behaviour(**{**row["behaviour"], "deaf_to": tuple(row["behaviour"]["deaf_to"])})
        self.loaded.append(card.teacher_id)
        return FakeTeacher(card, Vocabulary.load(folder / "vocabulary"), row["words"], behaviour)


class PublishedTeachers(FakeTeachers):
    """A family for which the published name `nemo:S` stands for the FakeTeacher of speaker S in the same workspace."""

    def register_teacher(self, speaker: str, source: str, folder: Path) -> None:
        published = folder.parent / "speakers" / source.removeprefix("nemo:")
        read_teacher_card(published)
        shutil.copytree(published, folder, dirs_exist_ok=True)


class FakeStudent(torch.nn.Module):
    """A `Student` whose every output follows from the waveform; it hears the next word of speakers it is deaf to."""

    frame_shift_s = 0.04

    def __init__(
        self, vocabulary: Vocabulary, words: Sequence[str], deaf_to: Sequence[int] = (), peak: float = 0.9
    ) -> None:
        super().__init__()
        self.vocabulary, self.words, self.deaf_to, self.peak = vocabulary, tuple(words), tuple(deaf_to), peak
        self.config = StudentConfig(encoder_config={})
        self._parts = torch.nn.ModuleDict({name: torch.nn.Linear(1, 1) for name in ("encoder", "ctc_head", "decoder")})

    def encode(self, waveforms: torch.Tensor, lengths: torch.Tensor) -> Encoded:
        """States [B, T, 1] hold the index of the word heard."""
        num_frames = self.num_frames(lengths)
        states = torch.zeros(len(lengths), int(num_frames.max()), 1)
        for b, (waveform, length) in enumerate(zip(waveforms, lengths.tolist(), strict=True)):
            word, speaker = heard(waveform[:length].numpy())
            states[b] = (word + (speaker in self.deaf_to)) % len(self.words)
        return Encoded(states, num_frames)

    def num_frames(self, lengths: torch.Tensor) -> torch.Tensor:
        return (lengths / SAMPLE_RATE / self.frame_shift_s).round().long()

    def ctc_log_probs(self, encoded: Encoded) -> torch.Tensor:
        blank, num_frames = self.vocabulary.blank_id, encoded.states.shape[1]
        rows = []
        for tokens in self._tokens(encoded):
            path = [blank] * num_frames
            path[1 : 2 * len(tokens) : 2] = tokens
            rows.append(self._peaked(path))
        return torch.stack(rows) + self._nothing("encoder", "ctc_head")

    def decoder_log_probs(self, encoded: Encoded, decoder_inputs: torch.Tensor) -> torch.Tensor:
        num_positions, end = decoder_inputs.shape[1], self.vocabulary.blank_id
        rows = [[*tokens, *[end] * num_positions][:num_positions] for tokens in self._tokens(encoded)]
        return torch.stack([self._peaked(row) for row in rows]) + self._nothing("encoder", "decoder")

    def forward(
        self, waveforms: torch.Tensor, lengths: torch.Tensor, decoder_inputs: torch.Tensor | None = None
    ) -> StudentOutput:
        encoded = self.encode(waveforms, lengths)
        decoded = None if decoder_inputs is None else self.decoder_log_probs(encoded, decoder_inputs)
        return StudentOutput(self.ctc_log_probs(encoded), encoded.num_frames, decoded)

    def parts(self) -> Mapping[str, torch.nn.Module]:
        return dict(self._parts.items())

    def _nothing(self, *parts: str) -> torch.Tensor:
        """Zero, with a gradient for these parts."""
        return sum((0 * p.sum() for name in parts for p in self._parts[name].parameters()), torch.zeros(()))

    def _tokens(self, encoded: Encoded) -> list[list[int]]:
        return [self.vocabulary.encode(self.words[int(index)]) for index in encoded.states[:, 0, 0]]

    def _peaked(self, columns: Sequence[int]) -> torch.Tensor:
        return torch.from_numpy(peaked_log_probs(columns, self.vocabulary.num_columns, self.peak))


class FakeStudents:
    """A student family: every student of it hears the words of `lexicon`, but not those of `deaf_to`."""

    def __init__(self, lexicon: Lexicon, deaf_to: Sequence[int] = ()) -> None:
        self.words, self.deaf_to, self.built = lexicon.words, tuple(deaf_to), 0

    def build_student(self, config: StudentConfig, vocabulary: Vocabulary, seed: int) -> FakeStudent:
        self.built += 1
        return FakeStudent(vocabulary, self.words, self.deaf_to)

    def starting_speakers(self, config: StudentConfig) -> tuple[str, ...]:
        return ()

    def ctc_search(
        self, vocabulary: Vocabulary, beam: int, lm: Path | None = None, lm_weight: float = 0.0
    ) -> Callable[[torch.Tensor, torch.Tensor], list[Hypothesis]]:
        """Greedy, whatever was asked for."""
        return lambda log_probs, num_frames: greedy_ctc(log_probs, num_frames, vocabulary)


def write_shard(store: LogProbStore, header: ShardHeader, rows: Mapping[str, Row]) -> None:
    """Puts a whole shard into a store, as `dump_teachers` does row by row."""
    writer = store.writer(header)
    for utt_id, row in rows.items():
        writer.add(utt_id, row)
    writer.write()


def add_teacher(
    workspace: Workspace, speaker: str, behaviour: Behaviour | None = None, vocabulary: Vocabulary | None = None
) -> TeacherCard:
    """Puts a FakeTeacher of `speaker` into a workspace; another behaviour is another checkpoint."""
    vocabulary, behaviour = vocabulary or workspace.vocabulary, behaviour or Behaviour()
    folder = workspace.teacher_dir(speaker)
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary.save(folder / "vocabulary")
    write_json(folder / "fake.json", {"words": workspace.lexicon.words, "behaviour": asdict(behaviour)})
    card = TeacherCard(
        teacher_id=speaker,
        backend="speechbrain",
        source=str(folder),
        speakers=(speaker,),
        checkpoint_sha256=sha256_of_text(f"{speaker} {behaviour}"),
        vocabulary_sha256=vocabulary.sha256,
    )
    write_teacher_card(folder, card)
    return card


def make_workspace(
    root: Path,
    lexicon: Lexicon,
    vocabulary: Vocabulary,
    speakers: Sequence[str] = ("anna", "bert", "carl"),
    repetitions: int = 5,
) -> Workspace:
    """A prepared workspace of synthetic recordings, without teachers.

    Each speaker says each word `repetitions` times, a little longer each time; the last repetition is the test split,
    the one before the validation split, the others train.
    """
    workspace = Workspace(root)
    utterances = []
    for speaker_index, speaker in enumerate(speakers):
        for word_index, word in enumerate(lexicon.words):
            for repetition in range(repetitions):
                utt_id = f"{speaker}-{word}-{repetition}"
                path = root / "audio" / f"{utt_id}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                waveform = synthetic_waveform(word_index, speaker_index, 0.6 + 0.08 * repetition)
                soundfile.write(path, waveform, SAMPLE_RATE, subtype="FLOAT")
                base = Utterance(utt_id, str(path), len(waveform) / SAMPLE_RATE, word, speaker, "train")
                split = {repetitions - 1: "test", repetitions - 2: "valid"}.get(repetition, "train")
                utterances.append(replace(base, split=split, production_id=f"{word}-{repetition}-{speaker}"))
    write_manifest(workspace.manifest_path, utterances)
    lexicon.save(workspace.lexicon_path)
    vocabulary.save(workspace.vocabulary_dir)
    card = CorpusCard(
        corpus="synthetic",
        root=str(root / "audio"),
        recipe="conformer_xs_from_speechbrain",
        manifest_sha256="",
        vocabulary_sha256=vocabulary.sha256,
        vocabulary_source="lexicon",
        vocabulary_speakers=(),
    )
    write_json(workspace.corpus_path, asdict(card))
    return workspace
