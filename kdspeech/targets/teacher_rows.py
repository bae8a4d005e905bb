"""What a fold's teachers have said of its training and validation utterances."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from kdspeech import console
from kdspeech.choices import Kind
from kdspeech.dumps.readback import decode_rows
from kdspeech.dumps.shard import Row
from kdspeech.dumps.store import open_store
from kdspeech.errors import ConfigError
from kdspeech.folds import Fold
from kdspeech.protocols import TeacherCard
from kdspeech.utterance import Utterance
from kdspeech.workspace import Workspace


@dataclass(frozen=True)
class TeacherRows:
    """The fold's part of the store: only shards of its training speakers and its teachers are ever opened."""

    workspace: Workspace
    fold: Fold
    cards: tuple[TeacherCard, ...]
    kinds: tuple[Kind, ...]

    def __post_init__(self) -> None:
        if not set(self.kinds) & {"ctc", "decoder"}:
            raise ConfigError(
                f"targets are made of the kinds ctc and decoder; the recipe's dump.kinds are {', '.join(self.kinds)}."
            )

    @cached_property
    def utterances(self) -> dict[str, Utterance]:
        return {u.utt_id: u for u in (*self.fold.train, *self.fold.valid)}

    @cached_property
    def speakers(self) -> tuple[str, ...]:
        """Whose recordings these are."""
        return tuple(dict.fromkeys(u.speaker for u in self.utterances.values()))

    @cached_property
    def speakers_heard(self) -> tuple[str, ...]:
        """Speakers of the utterances and of the teachers' training, as far as it is known."""
        taught = (speaker for card in self.cards for speaker in card.speakers or ())
        return tuple(dict.fromkeys([*self.speakers, *taught]))

    @cached_property
    def _headers(self) -> dict[tuple[str, Kind, str], tuple[float, str]]:
        """(teacher, kind, speaker) -> (frame shift, payload's SHA-256)."""
        store = open_store(self.workspace)
        headers = {}
        for card in self.cards:
            for kind in self.kinds:
                for speaker in self.speakers:
                    header, payload = store.describe(card.teacher_id, kind, speaker)
                    headers[card.teacher_id, kind, speaker] = header.frame_shift_s, payload
        return headers

    @property
    def payloads(self) -> dict[str, str]:
        return {"/".join(place): payload for place, (_, payload) in self._headers.items()}

    @property
    def frame_shifts(self) -> dict[str, float]:
        """Teacher -> seconds."""
        return {place[0]: frame_shift_s for place, (frame_shift_s, _) in self._headers.items()}

    @cached_property
    def rows(self) -> dict[Kind, dict[str, Mapping[str, Row]]]:
        """Kind -> teacher -> utterance id -> row."""
        store, lexicon = open_store(self.workspace), None
        if "word" in self.kinds:
            lexicon = self.workspace.lexicon
        return {
            kind: {
                card.teacher_id: store.read(
                    card.teacher_id,
                    kind,
                    list(self.utterances.values()),
                    checkpoint_sha256=card.checkpoint_sha256,
                    vocabulary=self.workspace.vocabulary,
                    lexicon=lexicon,
                )
                for card in self.cards
            }
            for kind in self.kinds
        }

    @cached_property
    def hypotheses(self) -> dict[str, dict[str, str]]:
        """Teacher -> utterance id -> what it heard: greedy CTC, or the decoder's rows where there is no CTC."""
        kind: Kind = "ctc" if "ctc" in self.kinds else "decoder"
        return {
            teacher: decode_rows(kind, rows, self.workspace.vocabulary)
            for teacher, rows in console.track(list(self.rows[kind].items()), "Decoding the teachers")
        }
