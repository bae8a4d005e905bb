"""A fold: one speaker held out, and the proof that nothing of that speaker reached the other side."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace

from kdspeech.errors import KdspeechError, LeakError
from kdspeech.utterance import Utterance


@dataclass(frozen=True)
class Provenance:
    """Whose speech or transcripts went into something that the fold uses."""

    name: str  # for the message, with its path
    part: str  # teacher, vocabulary, statistic or checkpoint
    speakers: tuple[str, ...] | None  # None: unknown, as of a published checkpoint


@dataclass(frozen=True)
class FoldProof:
    """What was checked; stored with every run."""

    held_out: str
    training_speakers: tuple[str, ...]
    teachers: tuple[str, ...]
    num_train: int  # utterances
    num_valid: int
    num_test: int
    checked: tuple[str, ...]  # one line a check, with its count
    unknown_provenance: tuple[str, ...]  # artefacts whose speakers nobody recorded
    num_adaptation: int = 0  # recordings of the held-out speaker that were heard without their transcripts

    def with_set_aside(self, count: int) -> "FoldProof":
        """The same fold where the student hears test recordings of the training speakers, too."""
        line = f"{count} test recordings of the training speakers are heard, their transcripts taken away before"
        return replace(self, checked=(*self.checked, line))

    def with_adaptation(self, count: int) -> "FoldProof":
        """The same fold where the student hears the held-out speaker's recordings: no longer an inductive result."""
        return replace(
            self,
            num_adaptation=count,
            checked=(
                *self.checked,
                f"TRANSDUCTIVE: {count} recordings of {self.held_out} are heard, their transcripts taken away before",
            ),
        )

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True)
class Fold:
    """The data of one held-out speaker's experiment."""

    held_out: str
    teachers: tuple[str, ...]
    train: tuple[Utterance, ...]
    valid: tuple[Utterance, ...]  # held-back productions of the training speakers
    test: tuple[Utterance, ...]  # every utterance of the held-out speaker
    set_aside: tuple[Utterance, ...] = ()  # the training speakers' test recordings, which their teachers never heard

    @property
    def training_speakers(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(u.speaker for u in self.train))

    def validate(self, provenances: Iterable[Provenance]) -> FoldProof:
        """Proves that nothing of the held-out speaker is on the training side.

        Args:
            provenances: of every artefact that the fold uses: teachers, vocabulary, statistics, checkpoints.

        Raises:
            LeakError: names the set or artefact, and the utterance or speaker that leaked.
        """
        self._check_teachers()
        self._check_utterances("training set", self.train)
        self._check_utterances("validation set", self.valid)
        self._check_utterances("training speakers' test set", self.set_aside)
        self._check_test()
        provenances = tuple(provenances)
        for provenance in provenances:
            if provenance.speakers is not None and self.held_out in provenance.speakers:
                raise LeakError(
                    f"fold {self.held_out}: the {provenance.part} {provenance.name} was made from speech or "
                    f"transcripts of {self.held_out}. Make it again without this speaker."
                )
        known = [f"{p.part} {p.name}" for p in provenances if p.speakers is not None]
        return FoldProof(
            held_out=self.held_out,
            training_speakers=self.training_speakers,
            teachers=self.teachers,
            num_train=len(self.train),
            num_valid=len(self.valid),
            num_test=len(self.test),
            checked=(
                f"{len(self.teachers)} teachers, none of them {self.held_out}'s",
                f"{len(self.train)} training and {len(self.valid)} validation utterances: no speaker, production or "
                f"audio of the {len(self.test)} held-out utterances",
                f"{len(known)} artefacts made without {self.held_out}: {', '.join(known)}",
            ),
            unknown_provenance=tuple(f"{p.part} {p.name}" for p in provenances if p.speakers is None),
        )

    def _check_teachers(self) -> None:
        if self.held_out in self.teachers:
            raise LeakError(
                f"fold {self.held_out}: the teacher of {self.held_out} is among the teachers. Leave it out."
            )

    def _check_utterances(self, name: str, utterances: Sequence[Utterance]) -> None:
        productions = {u.production_id for u in self.test if u.production_id}
        audio = {u.audio_sha256: u.utt_id for u in self.test if u.audio_sha256}
        paths = {u.audio_filepath: u.utt_id for u in self.test}
        for utterance in utterances:
            where = f"fold {self.held_out}: {utterance.utt_id!r} of the {name}"
            if utterance.speaker == self.held_out:
                raise LeakError(f"{where} was spoken by {self.held_out}. Take it out.")
            if utterance.production_id in productions:
                raise LeakError(
                    f"{where} is production {utterance.production_id!r} of {self.held_out}. "
                    "Correct the manifest's speakers."
                )
            same = paths.get(utterance.audio_filepath) or audio.get(utterance.audio_sha256)
            if same is not None:
                raise LeakError(
                    f"{where} is the same recording as {same!r} of {self.held_out} ({utterance.audio_filepath}). "
                    "Remove the duplicate."
                )

    def _check_test(self) -> None:
        strangers = [u.utt_id for u in self.test if u.speaker != self.held_out]
        if strangers:
            raise LeakError(f"fold {self.held_out}: {strangers[:5]} of the test set are other speakers' utterances.")
        if not self.test:
            raise KdspeechError(f"fold {self.held_out}: the held-out speaker has no utterances.")


def make_fold(utterances: Sequence[Utterance], held_out: str, teachers: Sequence[str]) -> Fold:
    """Holds one speaker out.

    Args:
        utterances: the whole manifest; `train` utterances of the others train, their `valid` ones validate, their
            `test` ones are set aside, and every utterance of the held-out speaker is the test.
        teachers: teacher ids; the held-out speaker's own is left out.

    Raises:
        KdspeechError: a set would be empty.
    """
    fold = Fold(
        held_out=held_out,
        teachers=tuple(t for t in teachers if t != held_out),
        train=tuple(u for u in utterances if u.speaker != held_out and u.split == "train"),
        valid=tuple(u for u in utterances if u.speaker != held_out and u.split == "valid"),
        test=tuple(u for u in utterances if u.speaker == held_out),
        set_aside=tuple(u for u in utterances if u.speaker != held_out and u.split == "test"),
    )
    for name, part in (("training", fold.train), ("validation", fold.valid), ("test", fold.test)):
        if not part:
            raise KdspeechError(
                f"fold {held_out}: the {name} set is empty. Check the manifest's speakers and its `split` fields."
            )
    return fold
