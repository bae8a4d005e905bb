"""Whom to believe about a voice that nobody knows: each listener's confusions are learnt without a transcript.

A teacher that hears a new speaker's `five` as `nine` every time is wrong every time, and yet tells the two apart.
Averaging takes it for a vote for `nine`. Dawid & Skene 1979 ("Maximum likelihood estimation of observer error-rates
using the EM algorithm") estimate instead how often each listener says w' when w was said, from what all say together,
and read the words off these tables. Unlike there, listeners give posteriors instead of single words, and how often each
word is said is not learnt: words that all mishear would be taken for rarer and rarer ones.

Shapes: K listeners, N recordings of one speaker, W words.
"""

from collections.abc import Callable

import numpy as np

MIN_LISTENERS = 3  # of two who differ, neither can be told to be wrong more often
_ROUNDS = 10  # of expectation and maximisation; forty give words that are no more often right
# Every row of a table begins with one recording more: half of it heard rightly, half as any word.
_PRIOR_RIGHT = 0.5
# Listeners are taken to err independently of each other. Trained alike, they do not: each counts half.
_INDEPENDENCE = 0.5
_FLOOR = 1e-30  # stands for a probability of 0


def dawid_skene(voices: np.ndarray, strengths: np.ndarray, settle: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Posteriors of the words that several listeners of unknown confusions have heard.

    Args:
        voices: [K, N, W] log-posteriors.
        strengths: [K], not all 0: as how many listeners each counts.
        settle: makes posteriors [N, W] of unnormalised log-posteriors [N, W], such as `balanced`.

    Returns:
        [N, W], of `settle`.
    """
    heard = np.stack([settle(voice) for voice in voices])
    tables = _PRIOR_RIGHT * np.eye(heard.shape[2]) + (1 - _PRIOR_RIGHT) / heard.shape[2]
    believed = settle(np.average(np.log(heard.clip(_FLOOR)), axis=0, weights=strengths))
    for _ in range(_ROUNDS):
        evidence = np.zeros_like(believed)
        for said, strength in zip(heard, strengths, strict=True):
            confusions = believed.T @ said + tables  # [W said, W heard]
            confusions /= confusions.sum(axis=1, keepdims=True)
            evidence += _INDEPENDENCE * strength * (said @ np.log(confusions).T)
        believed = settle(evidence)
    return believed
