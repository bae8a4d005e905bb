"""What is resampled: the productions of each speaker, as counts.

A production is one act of speaking; the recordings of it by several microphones are right or wrong together, so they
stay together. Where no production is known, each utterance is one. Productions with the same counts are one class that
stands several times: that changes nothing in what follows and makes a million utterances as quick as a thousand.

Shapes: S speakers, K classes of one speaker, C columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SpeakerUnits:
    """One speaker's productions."""

    speaker: str
    values: np.ndarray  # float64 [K, C]: utterances of the production, then those that each system has right
    times: np.ndarray  # int64 [K]: how many productions have these values

    @property
    def totals(self) -> np.ndarray:
        """[C]: sums over the speaker's utterances."""
        totals: np.ndarray = self.times @ self.values
        return totals

    @property
    def num_productions(self) -> int:
        return int(self.times.sum())


def group_units(speakers: Sequence[str], productions: Sequence[str] | None, right: np.ndarray) -> list[SpeakerUnits]:
    """Groups utterances into productions and speakers.

    Args:
        speakers: of each of N utterances.
        productions: of each utterance; None or "" makes the utterance one of its own. They are unique within a speaker.
        right: [N, C - 1], 0 to 1: whether each system has the utterance right, or how often over its seeds.

    Returns:
        By speaker, in order of first appearance.
    """
    keys: Sequence[object] = range(len(speakers))
    if productions is not None:
        keys = [production or index for index, production in enumerate(productions)]
    rows_of: dict[str, dict[object, int]] = {}
    unit_of = np.empty(len(speakers), dtype=np.int64)
    num_units = 0
    for index, (speaker, key) in enumerate(zip(speakers, keys, strict=True)):
        unit = rows_of.setdefault(speaker, {}).setdefault(key, num_units)
        num_units += unit == num_units
        unit_of[index] = unit
    sums = [np.bincount(unit_of, weights=column, minlength=num_units) for column in (np.ones(len(right)), *right.T)]
    values = np.round(np.stack(sums, axis=1), 9)  # [units, C]; rounded, so that thirds that add up are equal
    grouped = []
    for speaker, units in rows_of.items():
        classes, times = np.unique(values[list(units.values())], axis=0, return_counts=True)
        grouped.append(SpeakerUnits(speaker, classes, times))
    return grouped
