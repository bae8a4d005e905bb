"""What every decoder gives."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from kdspeech.logspace import LOG_ZERO


@dataclass(frozen=True)
class Hypothesis:
    """One decoded utterance."""

    text: str
    token_ids: tuple[int, ...]  # pieces of the vocabulary; no blank, no begin or end of sentence
    log_prob: float  # natural log-probability; the decoder says of what
    confidence: float  # in [0, 1]; as the decoder thinks, until `kdspeech.decoding.calibration` corrects it
    n_best: tuple["Hypothesis", ...] = ()  # the likeliest first, this one's text included; empty where not asked for


def path_confidence(log_prob: float, num_tokens: int) -> float:
    """The geometric mean probability of a path's tokens and its end: p^(1 / (U + 1)).

    A product of probabilities says mostly how long a text is; this mean can be compared across texts.

    Args:
        log_prob: log p of the whole path.
        num_tokens: U.
    """
    return min(1.0, math.exp(log_prob / (num_tokens + 1)))


def best_of(n_best: Sequence[Hypothesis]) -> Hypothesis:
    """The first of a ranked list, carrying the list; of an empty list an empty text with confidence 0."""
    return replace(n_best[0], n_best=tuple(n_best)) if n_best else Hypothesis("", (), LOG_ZERO, 0.0)
