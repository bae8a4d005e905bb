"""Which teachers speak on a recording, and how loudly.

Shapes: K teachers of a fold.
"""

from collections.abc import Sequence

import numpy as np

from kdspeech.choices import Who
from kdspeech.errors import ConfigError, VocabularyError
from kdspeech.files import sha256_of_text
from kdspeech.protocols import TeacherCard
from kdspeech.vocabulary import Vocabulary


def is_own(card: TeacherCard, speaker: str) -> bool:
    """True if the teacher was trained on this speaker, as far as it is known."""
    return speaker in (card.speakers or ())


def speaking(cards: Sequence[TeacherCard], speaker: str, who: Who) -> list[int]:
    """The teachers that speak on a speaker's recordings, as indices into `cards`.

    `own`: those trained on the speaker; `others`: those that are not, so that no teacher speaks on what it was trained
    on; `all`.

    Raises:
        ConfigError: nobody would speak, or a card does not say whom its teacher has heard.
    """
    if who == "all":
        return list(range(len(cards)))
    unknown = [card.teacher_id for card in cards if card.speakers is None]
    if unknown:
        raise ConfigError(
            f"targets.who={who} asks whom each teacher was trained on, and the cards of {', '.join(unknown)} do not "
            "say. Write `speakers` into their teacher.json, or set targets.who=all."
        )
    chosen = [index for index, card in enumerate(cards) if is_own(card, speaker) == (who == "own")]
    if not chosen:
        raise ConfigError(
            f"targets.who={who}: of the teachers {', '.join(card.teacher_id for card in cards)} none may speak on the "
            f"recordings of {speaker}. Train {'its own teacher' if who == 'own' else 'more teachers'}, or set "
            "targets.who=all."
        )
    return chosen


def loudness(cards: Sequence[TeacherCard], speaker: str, own_share: float | None) -> list[float]:
    """[K], sums to 1: `own_share` for the speaker's own teachers together, the rest for the others together.

    A share, not a weight beside the others': those who know the speaker must not drown as teachers become more. All
    speak alike where it is None, or where none is the speaker's own or none is not.
    """
    own = [is_own(card, speaker) for card in cards]
    num_own, num_others = sum(own), len(own) - sum(own)
    if own_share is None or not num_own or not num_others:
        return [1 / len(own)] * len(own)
    return [own_share / num_own if knows else (1 - own_share) / num_others for knows in own]


def check_one_vocabulary(cards: Sequence[TeacherCard], vocabulary: Vocabulary) -> None:
    """Refuses teachers whose pieces are not the workspace's: their frames and tokens cannot be pooled.

    Raises:
        VocabularyError: names them, and the ways out.
    """
    foreign = [card for card in cards if card.vocabulary_sha256 != vocabulary.sha256]
    if foreign:
        named = ", ".join(f"{card.teacher_id} ({card.vocabulary_sha256[:12]})" for card in foreign)
        raise VocabularyError(
            f"the workspace uses vocabulary {vocabulary.sha256[:12]}, these teachers use another: {named}. Their "
            "frames and tokens cannot be pooled. Leave them out (--teachers), or let all speak in words alone: after "
            "`kdspeech dump-teachers --kinds word,hypotheses`, --mode ctc-kd with "
            "--set 'stages.*.losses.ctc-kd.frame_kl=0' --set 'stages.*.losses.ctc-kd.word_kl=0.1'."
        )


class Turns:
    """Who speaks where one teacher speaks at a time (Fukuda et al. 2017 switch with every batch).

    Drawn anew for every recording and epoch, each teacher as often as its weight says: a function of the epoch's seed
    and the utterance id, whatever was drawn before. So a continued run hears what an unbroken one hears, and over the
    epochs a recording is told what all teachers together say of it.
    """

    def __init__(self) -> None:
        self._seed = 0

    def start_epoch(self, seed: int) -> None:
        """`seed` differs from epoch to epoch."""
        self._seed = seed

    def of(self, utt_id: str, weights: np.ndarray) -> int:
        """An index into `weights` [K], which sum to 1."""
        place = int(sha256_of_text(f"{self._seed} {utt_id}")[:13], 16) / 16**13  # in [0, 1)
        return min(int(np.searchsorted(np.cumsum(weights), place, side="right")), len(weights) - 1)
