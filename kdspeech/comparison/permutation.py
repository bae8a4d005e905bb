"""Whether chance would do it: paired permutation tests of a mean difference, exact wherever that can be computed.

If two systems were equally good, the sign of each unit's difference would be a coin's (Good, "Permutation, Parametric
and Bootstrap Tests of Hypotheses", 2005). The p-value is the share of all sign patterns whose sum is at least as far
from zero as the one seen: two-sided, and it counts what was seen, so it is never zero. Two kinds of unit answer two
questions:

- speakers (`flip_speakers`): would B be ahead for other speakers, too? All 2^S patterns are enumerated. With fewer
  than 6 speakers no difference can reach 0.05 (2 / 2^5 = 0.06).
- productions (`flip_productions`): is B ahead for these very speakers? The sum's exact distribution is the convolution
  of all units' two-point distributions, here by the product of their characteristic functions, one cosine a unit. The
  exact McNemar test is its case of one speaker.

Only what is too large for both is drawn at random, with a stated number and (hits + 1) / (draws + 1) (Phipson & Smyth
2010), which never gives too small a p-value.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

NUM_DRAWS = 100_000
_MAX_ENUMERATED = 22  # speakers with a difference
_MAX_LATTICE = 1 << 21  # points of the sum's distribution
_MAX_WORK = 1 << 28  # points x distinct differences
_SMALLEST = 1e-12  # below it the exact distribution is rounding noise
_CHUNK = 1_000  # random sign patterns at a time


@dataclass(frozen=True)
class PValue:
    """A two-sided p-value and how it was found."""

    value: float
    method: str

    def __str__(self) -> str:
        sign = "<" if self.value <= _SMALLEST else "="
        return f"p {sign} {self.value:.2g}" if self.value < 0.001 else f"p = {self.value:.3f}"


def flip_speakers(differences: np.ndarray, seed: int = 0) -> PValue:
    """Sign flips of whole speakers.

    Args:
        differences: [S], one a speaker, each counting the same.
    """
    moving = differences[np.abs(differences) > 1e-12]
    if not moving.size:
        return PValue(1.0, "exact: no speaker differs")
    limit = abs(moving.sum()) - 1e-9 * np.abs(moving).sum()  # sums that are equal but for rounding are equal
    if moving.size <= _MAX_ENUMERATED:
        sums = moving[:1]  # the first sign is fixed: the other half mirrors this one
        for difference in moving[1:]:
            sums = np.concatenate([sums + difference, sums - difference])
        return PValue(float((np.abs(sums) >= limit).mean()), f"exact, all {2**moving.size:,} sign patterns of speakers")
    rng = np.random.default_rng(seed)
    hits = 0
    for _ in range(NUM_DRAWS // _CHUNK):
        signs = rng.choice([-1.0, 1.0], size=(_CHUNK, moving.size))
        hits += int((np.abs(signs @ moving) >= limit).sum())
    return _monte_carlo(hits, "speakers")


def flip_productions(steps: Mapping[Fraction, int], seed: int = 0) -> PValue:
    """Sign flips of single productions.

    Args:
        steps: what a production adds to the statistic -> how many productions add that.
    """
    sizes_of: Counter[Fraction] = Counter()
    for step, count in steps.items():
        if step:
            sizes_of[abs(step)] += count
    if not sizes_of:
        return PValue(1.0, "exact: no production differs")
    unit = math.lcm(*(size.denominator for size in sizes_of))
    sizes, times = [int(size * unit) for size in sizes_of], list(sizes_of.values())
    limit = abs(int(sum(step * count for step, count in steps.items()) * unit))
    common = math.gcd(*sizes)
    sizes = [size // common for size in sizes]
    limit //= common
    reach = sum(size * count for size, count in zip(sizes, times, strict=True))
    if 2 * reach < _MAX_LATTICE and 2 * reach * len(sizes) < _MAX_WORK:
        value = max(_exact_tail(sizes, times, reach, limit), _SMALLEST)
        return PValue(min(value, 1.0), f"exact, all sign patterns of {sum(times):,} productions that differ")
    return _draw_productions(np.array(sizes, dtype=np.float64), times, limit, seed)


def _exact_tail(sizes: Sequence[int], times: Sequence[int], reach: int, limit: int) -> float:
    """P(|sum| >= limit) for sums of independent +-size."""
    num_points = 2 * reach + 1
    frequencies = np.arange(num_points // 2 + 1, dtype=np.int64)
    characteristic = np.ones(len(frequencies))
    for size, count in zip(sizes, times, strict=True):
        angles = 2.0 * np.pi * (frequencies * size % num_points) / num_points
        characteristic *= np.cos(angles) ** count
    density = np.fft.irfft(characteristic, n=num_points)  # P(sum = t) at t mod num_points
    return float(density.sum() if limit == 0 else density[limit : num_points - limit + 1].sum())


def _draw_productions(sizes: np.ndarray, times: Sequence[int], limit: int, seed: int) -> PValue:
    rng = np.random.default_rng(seed)
    hits = 0
    for _ in range(NUM_DRAWS // _CHUNK):
        positive = rng.binomial(times, 0.5, size=(_CHUNK, len(sizes)))
        sums = (2.0 * positive - np.asarray(times)) @ sizes
        hits += int((np.abs(sums) >= limit * (1.0 - 1e-12)).sum())
    return _monte_carlo(hits, "productions")


def _monte_carlo(hits: int, units: str) -> PValue:
    return PValue((hits + 1) / (NUM_DRAWS + 1), f"Monte Carlo, {NUM_DRAWS:,} random sign patterns of {units}")
