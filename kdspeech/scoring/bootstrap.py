"""Intervals by a hierarchical bootstrap: speakers first, then the productions of each speaker drawn.

What the next patient will get depends most on who the patient is, so speakers are drawn with replacement (the top of
the hierarchy); what they say is drawn within each of them. Resampling utterances alone (Bisani & Ney, ICASSP 2004)
takes the speakers as given, and its intervals are too narrow for a claim about new ones; utterances of one speaker, and
recordings of one production, depend on each other and are drawn as blocks (Liu & Peng, "Statistical testing on ASR
performance via blockwise bootstrap", Interspeech 2020). Both systems of a comparison are drawn together, so what makes
an utterance hard for both cancels out (Bisani & Ney 2004).

Drawing at both levels counts the noise within speakers twice (Davison & Hinkley 1997, section 3.8), which makes the
interval rather too wide than too narrow; with few speakers, percentile intervals are rather too narrow. With one
speaker, only the productions are drawn and the interval says nothing about other speakers. Seeds that were pooled are
not drawn: the interval is that of their mean.

Shapes: R replicates, S speakers, K classes of productions, C columns (utterances, then right ones of each system).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kdspeech.scoring.units import SpeakerUnits

NUM_REPLICATES = 10_000
LEVEL = 95.0  # %
_MAX_DRAWN = 1 << 20  # speakers at a time, over replicates: bounds the memory

Statistic = Callable[[np.ndarray], np.ndarray]  # sums [R, S, C] -> [R]


@dataclass(frozen=True)
class Interval:
    """A percentile interval, in % or points."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:.1f} to {self.high:.1f}"


def macro(column: int) -> Statistic:
    """% right of one system, each speaker counting the same."""
    return lambda sums: 100.0 * (sums[..., column] / sums[..., 0]).mean(axis=-1)


def micro(column: int) -> Statistic:
    """% right of one system, each utterance counting the same."""
    return lambda sums: 100.0 * sums[..., column].sum(axis=-1) / sums[..., 0].sum(axis=-1)


def difference(measure: Callable[[int], Statistic]) -> Statistic:
    """Points by which the second system is ahead of the first."""
    first, second = measure(1), measure(2)
    return lambda sums: second(sums) - first(sums)


def observed(speakers: Sequence[SpeakerUnits]) -> np.ndarray:
    """[1, S, C]: the sums as they are, which every statistic takes."""
    return np.stack([units.totals for units in speakers])[None]


def bootstrap_intervals(
    speakers: Sequence[SpeakerUnits],
    statistics: Sequence[Statistic],
    num_replicates: int = NUM_REPLICATES,
    seed: int = 0,
) -> list[Interval]:
    """The percentile interval of each statistic; the same seed draws the same."""
    rng = np.random.default_rng(seed)
    step = max(1, _MAX_DRAWN // len(speakers))
    drawn: list[list[np.ndarray]] = [[] for _ in statistics]
    for start in range(0, num_replicates, step):
        sums = _resample(speakers, min(step, num_replicates - start), rng)
        for values, statistic in zip(drawn, statistics, strict=True):
            values.append(statistic(sums))
    tail = (100.0 - LEVEL) / 2
    return [Interval(*map(float, np.percentile(np.concatenate(values), [tail, 100.0 - tail]))) for values in drawn]


def _resample(speakers: Sequence[SpeakerUnits], num_replicates: int, rng: np.random.Generator) -> np.ndarray:
    """[R, S, C]. Each time a speaker is drawn, its productions are drawn anew."""
    num_columns = speakers[0].values.shape[1]
    chosen = rng.integers(len(speakers), size=(num_replicates, len(speakers)))
    sums = np.empty((*chosen.shape, num_columns))
    for index, units in enumerate(speakers):
        places = chosen == index
        # Drawing productions with replacement draws how often each class comes.
        share = units.times / units.num_productions
        sums[places] = rng.multinomial(units.num_productions, share, size=int(places.sum())) @ units.values
    return sums
