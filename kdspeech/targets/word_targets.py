"""What a student is taught over a closed list of words; of the teachers' vocabularies none need be the student's.

Shapes: K teachers, S of them that speak on a recording, W lexicon words.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from kdspeech.choices import Kind
from kdspeech.config import TargetConfig
from kdspeech.dumps.shard import Row
from kdspeech.dumps.store import LogProbStore
from kdspeech.errors import ConfigError
from kdspeech.lexicon import Lexicon
from kdspeech.protocols import TeacherCard
from kdspeech.targets.calibrating import fit_teachers
from kdspeech.targets.label_targets import groups_of_label, groups_of_take
from kdspeech.targets.pooling import POOLINGS, confidence, temper, uniform_weights
from kdspeech.targets.pseudo_labels import pooled_words, read_word_rows
from kdspeech.targets.speaking import Turns, loudness, speaking
from kdspeech.utterance import Utterance
from kdspeech.vocabulary import Vocabulary


class WordTargets(Mapping[str, np.ndarray]):
    """Utterance id -> log-posteriors [W] at the targets' temperature, read from the store as they are looked up.

    Recordings on which too few teachers agree are not among them. A recording without a text, as its transcript is not
    read, is pooled with no other: its label is not known.
    """

    def __init__(
        self,
        store: LogProbStore,
        cards: Sequence[TeacherCard],
        utterances: Sequence[Utterance],
        lexicon: Lexicon,
        config: TargetConfig,
        own_share: float | None,
        turns: Turns | None = None,
        calibrated_on: tuple[Sequence[Utterance], Vocabulary] | None = None,
    ) -> None:
        """Opens the teachers' word posteriors.

        Args:
            own_share: of a speaker's own teacher in what all say; the config's own is not asked.
            turns: whose turn it is, where one teacher speaks at a time.
            calibrated_on: validation recordings of the training speakers, and the workspace's vocabulary.

        Raises:
            ConfigError: on some speaker's recordings nobody would speak, or one alone has to agree with itself.
            StoreError: the store lacks a recording, or was made by another checkpoint or for another lexicon.
        """
        self._cards, self._config, self._lexicon, self._turns = cards, config, lexicon, turns
        self._own_share = own_share
        self._utterances = {u.utt_id: u for u in utterances}
        self._speaking = {s: speaking(cards, s, config.who) for s in dict.fromkeys(u.speaker for u in utterances)}
        self._rows_of = read_word_rows(store, cards, utterances, lexicon)
        self._temperatures = [1.0] * len(cards)
        if config.calibrate and calibrated_on is not None:
            valid, vocabulary = calibrated_on
            rows_of = read_word_rows(store, cards, valid, lexicon)
            rows: dict[Kind, Mapping[str, Mapping[str, Row]]] = {
                "word": {c.teacher_id: {u.utt_id: rows_of(u.utt_id)[k] for u in valid} for k, c in enumerate(cards)}
            }
            fitted = fit_teachers(cards, valid, rows, vocabulary, lexicon)
            self._temperatures = [fitted[card.teacher_id]["word"] for card in cards]
        self._ids = [utt_id for utt_id in self._utterances if self._counts(utt_id)]
        self._known = frozenset(self._ids)
        texts = [self._utterances[utt_id] for utt_id in self._ids if self._utterances[utt_id].text]
        self._groups = {} if config.over == "recording" else _GROUPINGS[config.over](texts)
        self._held: dict[tuple[str, ...], np.ndarray] = {}  # what never changes, by the recordings it is pooled over

    def __iter__(self) -> Iterator[str]:
        return iter(self._ids)

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, utt_id: object) -> bool:
        return utt_id in self._known

    def __getitem__(self, utt_id: str) -> np.ndarray:
        if utt_id not in self._known:
            raise KeyError(utt_id)
        if self._turns is not None and self._config.switch:
            return self._pooled(utt_id)
        members = self._groups.get(utt_id, (utt_id,))
        if members not in self._held:
            rows = [self._pooled(member) for member in members]
            self._held[members] = rows[0] if len(rows) == 1 else self._over(rows)
        return self._held[members]

    def _pooled(self, utt_id: str) -> np.ndarray:
        """[W] of the recording alone."""
        speaker = self._utterances[utt_id].speaker
        teachers = self._speaking[speaker]
        rows = self._rows(utt_id, teachers)
        weights = loudness([self._cards[index] for index in teachers], speaker, self._own_share)
        if self._turns is not None and self._config.switch:
            place = self._turns.of(utt_id, np.array(weights))
            rows, weights = [rows[place]], [1.0]
        return pooled_words(rows, weights, self._config.temperature, self._config.pooling)

    def _over(self, rows: Sequence[np.ndarray]) -> np.ndarray:
        pooled = POOLINGS[self._config.pooling](np.stack(rows)[:, None], uniform_weights([""] * len(rows)))  # [1, W]
        return pooled[0]

    def _rows(self, utt_id: str, teachers: Sequence[int]) -> list[np.ndarray]:
        rows = self._rows_of(utt_id)
        return [temper(rows[index], self._temperatures[index]) for index in teachers]

    def _counts(self, utt_id: str) -> bool:
        if self._config.min_agreement == 0:
            return True
        teachers = self._speaking[self._utterances[utt_id].speaker]
        if len(teachers) == 1:
            raise ConfigError(
                f"targets.min_agreement={self._config.min_agreement:g} needs several teachers: on {utt_id!r} one "
                "speaks alone. Train more teachers, or set targets.min_agreement=0."
            )
        rows = self._rows_of(utt_id)
        heard = [self._lexicon.words[int(rows[index].argmax())] for index in teachers]
        return confidence(heard) >= self._config.min_agreement


_GROUPINGS = {"label": groups_of_label, "index": groups_of_take}
