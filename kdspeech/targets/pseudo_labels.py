"""Pseudo-labels: a word for each recording without a transcript, by the teachers' and the student's word posteriors.

Shapes: K teachers, N recordings of one speaker, W lexicon words.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from kdspeech.choices import Who
from kdspeech.config import PseudoLabelConfig
from kdspeech.dumps.store import LogProbStore
from kdspeech.lexicon import Lexicon
from kdspeech.logspace import LOG_ZERO, normalise
from kdspeech.protocols import TeacherCard
from kdspeech.targets.dawid_skene import MIN_LISTENERS, dawid_skene
from kdspeech.targets.pooling import pool
from kdspeech.targets.speaking import loudness, speaking
from kdspeech.utterance import Utterance, speakers_of

_ROUNDS = 50  # of balancing; the margins are met to 1e-3 long before


@dataclass(frozen=True)
class PseudoLabel:
    """What a recording is taken to say."""

    text: str
    weight: float  # 0-1: its posterior; how much a loss counts it


def pooled_words(
    rows: Sequence[np.ndarray], weights: Sequence[float], temperature: float, pooling: str = "logprob_mean"
) -> np.ndarray:
    """Several teachers' word posteriors as one: by default softmax of their weighted mean of log p at temperature t.

    Args:
        rows: K times [W], log-posteriors.
        weights: [K], above 0.
        pooling: a name in `kdspeech.targets.pooling.POOLINGS`.

    Returns:
        float32 [W].
    """
    shares = np.asarray(weights, dtype=np.float32) / np.sum(weights)
    return pool([row[None] for row in rows], shares, pooling, temperature)[0]


def balanced(log_posteriors: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """The posteriors nearest to these in which each word has its expected share of all recordings.

    Nearest by KL divergence, by scaling columns and rows in turn (Sinkhorn 1967). Pseudo-labels by optimal transport:
    Asano et al. 2020 (arXiv 1911.05371, eq. 5). Words that teachers hear in a strange voice far too often lose, and the
    words that they never hear win.

    Args:
        log_posteriors: [N, W].
        prior: [W], above 0, sums to 1: how often each word is expected.

    Returns:
        float64 [N, W]; rows sum to 1, columns to N times the prior, as nearly as the zeros allow.
    """
    posteriors = np.exp(log_posteriors.astype(np.float64)).clip(min=1e-30)
    wanted = len(posteriors) * prior.astype(np.float64)
    for _ in range(_ROUNDS):
        posteriors *= wanted / posteriors.sum(axis=0)
        posteriors /= posteriors.sum(axis=1, keepdims=True)
    return posteriors


def word_prior(lexicon: Lexicon, texts: Iterable[str], num_speakers: int) -> np.ndarray:
    """How often each word is expected of a speaker: as often as of those who said the texts, and half a time more.

    The half keeps words that none of them says possible. Without texts every word is as likely as another.

    Returns:
        float64 [W], above 0, sums to 1.
    """
    counts = Counter(texts)
    expected = np.array([counts[word] / max(num_speakers, 1) + 0.5 for word in lexicon.words])
    prior: np.ndarray = expected / expected.sum()
    return prior


@dataclass(frozen=True)
class Voices:
    """What the teachers hear in a recording."""

    log_posteriors: np.ndarray  # float32 [K, W], each at the temperature of `PseudoLabelConfig`
    shares: np.ndarray  # [K], above 0, sums to 1: how loud each is

    @property
    def pooled(self) -> np.ndarray:
        """Their weighted mean of log p, normalised: float32 [W]."""
        return normalise((self.shares @ self.log_posteriors).astype(np.float32))


def read_voices(
    store: LogProbStore,
    cards: Sequence[TeacherCard],
    utterances: Sequence[Utterance],
    lexicon: Lexicon,
    config: PseudoLabelConfig,
    who: Who = "all",
) -> dict[str, Voices]:
    """The teachers' words of each recording; who was trained on the speaker has `own_share` of the voice.

    Word posteriors come from CTC and the audio alone; the kinds that were fed with transcripts are never opened.

    Args:
        who: speaks on a recording.

    Returns:
        utterance id -> voices; those of one speaker are of the same teachers.

    Raises:
        ConfigError: nobody would speak on some speaker's recordings.
        StoreError: the store lacks a recording, or was made by another checkpoint or for another lexicon.
    """
    given = read_word_rows(store, cards, utterances, lexicon)
    chosen = {speaker: speaking(cards, speaker, who) for speaker in speakers_of(utterances)}
    shares = {
        speaker: np.array(loudness([cards[index] for index in teachers], speaker, config.own_share))
        for speaker, teachers in chosen.items()
    }
    voices = {}
    for u in utterances:
        rows = given(u.utt_id)
        spoken = np.stack([rows[index] for index in chosen[u.speaker]]).astype(np.float32)
        voices[u.utt_id] = Voices(normalise(spoken / config.temperature), shares[u.speaker])
    return voices


def read_word_rows(
    store: LogProbStore, cards: Sequence[TeacherCard], utterances: Sequence[Utterance], lexicon: Lexicon
) -> Callable[[str], list[np.ndarray]]:
    """Opens the teachers' word posteriors; their vocabularies may be any.

    Returns:
        What looks an utterance id up: K times float32 [W], in the order of the cards.

    Raises:
        StoreError: the store lacks a recording, or was made by another checkpoint or for another lexicon.
    """
    given = {
        card.teacher_id: store.read(
            card.teacher_id, "word", utterances, checkpoint_sha256=card.checkpoint_sha256, lexicon=lexicon
        )
        for card in cards
    }

    def rows_of(utt_id: str) -> list[np.ndarray]:
        return [cast(np.ndarray, by_utterance[utt_id]) for by_utterance in given.values()]  # only hypotheses are texts

    return rows_of


@dataclass(frozen=True)
class PseudoLabeller:
    """Labels the recordings of some speakers, each speaker's by themselves."""

    utterances: tuple[Utterance, ...]  # without transcripts
    lexicon: Lexicon
    teachers: Mapping[str, Voices] | None  # by utterance id, of `read_voices`; None: student alone
    fits: Mapping[str, np.ndarray]  # utterance id -> bool [W], words that the student's frames can hold
    prior: np.ndarray  # [W], expected of a doubtful speaker
    config: PseudoLabelConfig
    known: frozenset[str] = frozenset()  # ids of recordings that a teacher who speaks was trained on

    @property
    def doubtful(self) -> tuple[Utterance, ...]:
        """The recordings about which the student is asked: those that no teacher has learnt.

        On the others a speaker's own teacher is right nearly always, and a student that hears its own young guesses
        repeats them.
        """
        return tuple(u for u in self.utterances if u.utt_id not in self.known)

    @property
    def unbalanced(self) -> Mapping[str, int]:
        """Speaker -> acts of speaking of those whose words were to be balanced, and are too few for that."""
        few = {}
        for (speaker, is_known), group in self._groups().items():
            if self._wants_balance(is_known) and not self._is_balanced(is_known, group):
                few[speaker] = _num_productions(group)
        return few

    def label(self, student: Mapping[str, np.ndarray] | None, progress: float) -> dict[str, PseudoLabel]:
        """The recordings' words by teachers and student together.

        Args:
            student: utterance id -> [W] log-posteriors of the doubtful ones; None before it has learnt anything.
            progress: share of the training that is done, 0-1; the student's voice grows with it.

        Returns:
            utterance id -> label; empty where nobody has said anything yet.
        """
        if student is None and self.teachers is None:
            return {}
        labels: dict[str, PseudoLabel] = {}
        for (_, is_known), group in self._groups().items():
            posteriors = self._posteriors(is_known, group, student, progress)
            is_alone = self.teachers is None or student is None or self.config.weight == "together"
            weighing = posteriors if is_alone else self._posteriors(is_known, group, None, progress)
            if student is None and not is_known and not self.config.from_start:
                weighing = np.zeros_like(weighing)
            for u, row, weights in zip(group, posteriors, weighing, strict=True):
                best = int(row.argmax())
                weight = float(weights[best])
                labels[u.utt_id] = PseudoLabel(
                    self.lexicon.words[best], weight if weight >= self.config.min_confidence else 0.0
                )
        return labels

    def _groups(self) -> dict[tuple[str, bool], list[Utterance]]:
        """(Speaker, whether a teacher has learnt them) -> recordings; each group is labelled by itself."""
        groups: dict[tuple[str, bool], list[Utterance]] = {}
        for u in self.utterances:
            groups.setdefault((u.speaker, u.utt_id in self.known), []).append(u)
        return groups

    def _wants_balance(self, is_known: bool) -> bool:
        return self.config.balance_known if is_known else self.config.balance

    def _is_balanced(self, is_known: bool, group: Sequence[Utterance]) -> bool:
        """A few recordings need not hold the list: balanced, a single one would say the commonest word."""
        return self._wants_balance(is_known) and _num_productions(group) >= len(self.lexicon.words)

    def _posteriors(
        self, is_known: bool, group: Sequence[Utterance], student: Mapping[str, np.ndarray] | None, progress: float
    ) -> np.ndarray:
        """[N, W] of a group's recordings; all 0 where no word of the list fits into a recording."""
        utt_ids = [u.utt_id for u in group]
        fits = np.stack([self.fits[utt_id] for utt_id in utt_ids])
        is_balanced = self._is_balanced(is_known, group)

        def settle(log_posteriors: np.ndarray) -> np.ndarray:
            possible = normalise(np.where(fits, log_posteriors, LOG_ZERO).astype(np.float32))
            posteriors: np.ndarray = balanced(possible, self.prior) if is_balanced else np.exp(possible)
            return posteriors * fits

        heard = None if student is None or is_known else np.stack([student[utt_id] for utt_id in utt_ids])
        if self.teachers is None:
            assert heard is not None  # `label` asks for nothing where nobody speaks
            return settle(heard)
        given = [self.teachers[utt_id] for utt_id in utt_ids]
        voices = np.stack([each.log_posteriors for each in given], axis=1)  # [K, N, W]
        shares, num_teachers = given[0].shares, len(given[0].shares)
        # Heard before it learnt any of these words, the student is a witness; afterwards it repeats what it was told.
        strength = self.config.student_weight * (progress if self.config.from_start else 1.0)
        if self.config.pooling == "mean" or is_known or num_teachers + (heard is not None) < MIN_LISTENERS:
            together = np.tensordot(shares, voices, 1)
            return settle(together if heard is None else together + strength * heard)
        if heard is not None:
            voices = np.concatenate([voices, normalise(heard / self.config.temperature)[None]])
            shares = np.append(shares, strength)
        return dawid_skene(voices, num_teachers * shares, settle)


def _num_productions(utterances: Sequence[Utterance]) -> int:
    """Several microphones hear one act of speaking, and one word."""
    return len({u.production for u in utterances})
