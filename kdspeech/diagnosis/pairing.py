"""Which fault makes right answers look wrong: answers of other utterances, or ids moved by one.

Shapes: T frames or positions, V vocabulary.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kdspeech.errors import VocabularyError
from kdspeech.scoring.normalise import normalise
from kdspeech.vocabulary import Vocabulary

SHIFTS = (-1, 1)
_MIN_UTTERANCES = 10  # fewer prove nothing
_CLEAR_SHARE = 0.2  # of the utterances, by which another pairing must be better than chance can be
_VARYING = 0.05  # standard deviation of the durations over their mean, from which lengths can tell pairings apart
_RELATED, _UNRELATED = 0.9, 0.5  # correlation of numbers of rows with durations
_CLEAR_GAIN = 30.0  # points of WRA by which a shift of ids must help


@dataclass(frozen=True)
class Pairing:
    """How many texts are right at their place, how many by chance, and how many at the best other places."""

    utterances: int
    right: int
    chance: float  # expected number, were the texts dealt out at random
    deviation: float  # standard deviation of it
    elsewhere: int  # right under the best pairing: texts and references as multisets

    @property
    def is_by_chance(self) -> bool:
        """No more is right than a random pairing would give."""
        return self.utterances >= _MIN_UTTERANCES and self.right <= self._bound

    @property
    def is_random(self) -> bool:
        """The texts are those of the utterances, dealt out anew: right by chance alone, and right elsewhere."""
        return (
            self.is_by_chance
            and self.elsewhere >= self._bound + _CLEAR_SHARE * self.utterances
            and self.elsewhere >= self.utterances / 2
        )

    @property
    def _bound(self) -> float:
        return self.chance + 3 * self.deviation


def pair(references: Mapping[str, str], texts: Mapping[str, str]) -> Pairing:
    """Counts matches by utterance id, and what a random pairing would give.

    With r and h utterances of a word among n references and n texts, a random pairing has sum(r h) / n matches, with
    the variance [sum(r h)^2 - n sum(r h (r + h)) + n^2 sum(r h)] / (n^2 (n - 1)).
    """
    spoken = {utt_id: normalise(text) for utt_id, text in references.items()}
    heard = {utt_id: normalise(texts[utt_id]) for utt_id in references}
    n = len(spoken)
    r, h = Counter(spoken.values()), Counter(text for text in heard.values() if text)
    products = sum(r[word] * h[word] for word in h)
    weighted = sum(r[word] * h[word] * (r[word] + h[word]) for word in h)
    variance = (products**2 - n * weighted + n**2 * products) / (n**2 * (n - 1)) if n > 1 else 0.0
    return Pairing(
        utterances=n,
        right=sum(heard[utt_id] == text for utt_id, text in spoken.items()),
        chance=products / max(n, 1),
        deviation=math.sqrt(max(variance, 0.0)),
        elsewhere=sum((r & h).values()),
    )


def lengths_related(num_rows: Sequence[int], durations: Sequence[float]) -> bool | None:
    """Do the numbers of rows follow the recordings' durations? None where one hardly varies, or it is not clear."""
    rows, seconds = np.asarray(num_rows, dtype=float), np.asarray(durations, dtype=float)
    if len(rows) < _MIN_UTTERANCES or min(rows.std() / rows.mean(), seconds.std() / seconds.mean()) < _VARYING:
        return None
    correlation = float(np.corrcoef(rows, seconds)[0, 1])
    return True if correlation >= _RELATED else False if correlation <= _UNRELATED else None


def shift_columns(rows: np.ndarray, shift: int, with_last: bool) -> np.ndarray:
    """Rows [T, V+1] with each column moved by `shift`, round the end; `with_last` moves the blank's column too."""
    if with_last:
        return np.roll(rows, shift, axis=1)
    return np.concatenate([np.roll(rows[:, :-1], shift, axis=1), rows[:, -1:]], axis=1)


def shift_text(vocabulary: Vocabulary, token_ids: Sequence[int], shift: int) -> str:
    """The text of ids that are all moved by `shift`; "" where one leaves the vocabulary."""
    try:
        return vocabulary.decode([token + shift for token in token_ids])
    except VocabularyError:
        return ""


def helpful_shift(wra_of_shift: Callable[[int], float], wra: float) -> tuple[int, float] | None:
    """The shift by one that makes wrong answers right, with the WRA it gives; None if none does."""
    best = max(SHIFTS, key=wra_of_shift)
    found = wra_of_shift(best)
    return (best, found) if found >= wra + _CLEAR_GAIN else None
