"""The workspace: where manifests, teachers, dumps, runs and reports live."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from kdspeech.choices import TABLE_MODES, DecodeMode
from kdspeech.errors import KdspeechError, ManifestError
from kdspeech.faults import Fault, read_faults
from kdspeech.files import read_json
from kdspeech.lexicon import Lexicon
from kdspeech.utterance import Utterance, read_manifest, speakers_of
from kdspeech.vocabulary import Vocabulary


@dataclass(frozen=True)
class CorpusCard:
    """`manifests/corpus.json`: what was prepared, and by which settings."""

    corpus: str  # reader's name
    root: str  # folder or file it was read from
    recipe: str  # default recipe of the workspace: a shipped name or a path
    manifest_sha256: str
    vocabulary_sha256: str
    vocabulary_source: str  # where its texts came from: lexicon, alphabet or file
    vocabulary_speakers: tuple[str, ...] | None  # whose transcripts it was trained on; None: unknown, as of a file
    num_broken: int = 0  # utterances that were left out
    source_sha256: str = ""  # of the settings, and of the source files' names, sizes and times


@dataclass(frozen=True)
class Workspace:
    """One corpus and everything made from it."""

    root: Path

    @property
    def manifest_path(self) -> Path:
        return self.root / "manifests" / "manifest.jsonl"

    @property
    def corpus_path(self) -> Path:
        return self.root / "manifests" / "corpus.json"

    @property
    def lexicon_path(self) -> Path:
        return self.root / "manifests" / "lexicon.json"

    @property
    def checked_path(self) -> Path:
        """What was measured of each recording, so that it is decoded once; see `kdspeech.corpora.checked`."""
        return self.root / "manifests" / "checked.jsonl"

    @property
    def broken_path(self) -> Path:
        """The utterances that `prepare` left out, with their reasons."""
        return self.root / "manifests" / "broken.jsonl"

    @property
    def vocabulary_dir(self) -> Path:
        return self.root / "manifests" / "vocabulary"

    @property
    def initial_teacher_dir(self) -> Path:
        """The one checkpoint from which every teacher starts."""
        return self.root / "teachers" / "initial"

    @property
    def teachers_dir(self) -> Path:
        """One folder a speaker."""
        return self.root / "teachers" / "speakers"

    def teacher_dir(self, speaker: str) -> Path:
        return self.teachers_dir / speaker

    @property
    def pretrained_dir(self) -> Path:
        """What `kdspeech pretrain` makes, apart from any speaker of the corpus."""
        return self.root / "pretrained"

    @property
    def pretrained_encoder_path(self) -> Path:
        return self.pretrained_dir / "encoder.nemo"

    @property
    def pretrained_teacher_dir(self) -> Path:
        """A trained start for every teacher."""
        return self.pretrained_dir / "teacher"

    @property
    def dumps_dir(self) -> Path:
        return self.root / "dumps"

    @property
    def targets_dir(self) -> Path:
        return self.root / "targets"

    @property
    def runs_dir(self) -> Path:
        return self.root / "runs"

    def run_dir(self, recipe_name: str, held_out: str, mode: str, seed: int) -> Path:
        return self.runs_dir / recipe_name / held_out / mode / f"seed{seed}"

    @property
    def reports_dir(self) -> Path:
        return self.root / "reports"

    @cached_property
    def utterances(self) -> list[Utterance]:
        """The manifest. Raises ManifestError if nothing was prepared."""
        return read_manifest(self.manifest_path)

    @cached_property
    def faults(self) -> list[Fault]:
        """The utterances that `prepare` left out."""
        return read_faults(self.broken_path)

    @cached_property
    def speakers(self) -> list[str]:
        return speakers_of(self.utterances)

    @cached_property
    def corpus(self) -> CorpusCard:
        """The corpus card. Raises ManifestError if nothing was prepared."""
        if not self.corpus_path.exists():
            raise ManifestError(f"{self.root} holds no prepared corpus. Run `kdspeech prepare` or name a --workspace.")
        row = read_json(self.corpus_path)
        speakers = row["vocabulary_speakers"]
        return CorpusCard(**{**row, "vocabulary_speakers": None if speakers is None else tuple(speakers)})

    @cached_property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary.load(self.vocabulary_dir)

    @cached_property
    def lexicon(self) -> Lexicon:
        """The task's word list. Raises KdspeechError where the corpus has none."""
        if not self.lexicon_path.exists():
            raise KdspeechError(
                f"{self.lexicon_path} does not exist: this corpus has no closed word list, so lexicon scores are not "
                "defined. Prepare it again with --lexicon FILE, or leave out what needs one."
            )
        return Lexicon.load(self.lexicon_path)

    @property
    def has_lexicon(self) -> bool:
        return self.lexicon_path.exists()

    @property
    def table_modes(self) -> tuple[DecodeMode, ...]:
        """Decode modes by which a table compares systems; without a closed lexicon all but `lexicon`."""
        return tuple(mode for mode in TABLE_MODES if mode != "lexicon" or self.has_lexicon)

    def check_speakers(self, names: list[str]) -> list[str]:
        """Resolves speaker names; `all` stands for every speaker.

        Raises:
            KdspeechError: a name is not in the manifest.
        """
        if names == ["all"]:
            return self.speakers
        unknown = [name for name in names if name not in self.speakers]
        if unknown:
            raise KdspeechError(
                f"unknown speaker {', '.join(map(repr, unknown))} in {self.manifest_path}. "
                f"Its speakers: {', '.join(self.speakers)}."
            )
        return list(dict.fromkeys(names))
