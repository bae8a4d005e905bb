"""Does `kdspeech compare` find a difference that is there, and only as often as it may one that is not?

Needs an installed kdspeech:  python experiments/benchmarks/compare_power.py [--simulations 1000]
Each simulation draws 15 speakers with a WRA from 10 to 90 %, and 255 words that both systems hear. A word is hard for
both at once in 60 % of the cases. B's WRA on a speaker is A's, plus what is planted, plus a speaker effect (normal, in
points): some speakers suit B better. Counted is how often p <= 0.05, by speakers (which speaks for other speakers) and
by productions (for these speakers only), and how often the 95 % interval of the difference covers what was planted.
"""

import argparse
from dataclasses import dataclass

import numpy as np

from kdspeech import console
from kdspeech.comparison.compare import weigh
from kdspeech.scoring.units import SpeakerUnits, group_units

NUM_SPEAKERS, NUM_WORDS = 15, 255
_SHARED = 0.6  # of the words, heard alike by both systems
_REPLICATES = 1_000  # of the bootstrap
_ALPHA = 0.05


@dataclass(frozen=True)
class Rates:
    """Counts over simulations."""

    simulations: int
    by_speakers: int  # p <= 0.05
    by_productions: int
    covered: int  # the interval holds what was planted


def main() -> None:
    """Simulates, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulations", type=int, default=1_000, help="of each kind")
    options = parser.parse_args()
    rows = []
    for planted in (0.0, 3.0):
        for effect in (0.0, 2.0):
            found = simulate(planted, effect, options.simulations)
            counts = (found.by_speakers, found.by_productions, found.covered)
            rows.append(
                (f"{planted:g} points, speaker effect {effect:g}", *(f"{n} of {found.simulations}" for n in counts))
            )
    columns = ("planted", "p <= 0.05 by speakers", "p <= 0.05 by productions", "interval covers it")
    console.table(f"{NUM_SPEAKERS} speakers x {NUM_WORDS} words", columns, rows)


def simulate(planted: float, effect: float, num_simulations: int, seed: int = 0) -> Rates:
    """Counts what `compare` says of systems whose difference is known.

    Args:
        planted: points by which B is better in the mean over speakers.
        effect: points, standard deviation over speakers of that difference.
    """
    rng = np.random.default_rng(seed)
    by_speakers = by_productions = covered = 0
    with console.progress(f"{planted:g} points planted", num_simulations) as bar:
        for index in range(num_simulations):
            found = weigh(_systems(rng, planted, effect), _REPLICATES, seed=index)
            interval = found.estimates["macro"].interval
            by_speakers += found.p_speakers.value <= _ALPHA
            by_productions += found.p_productions.value <= _ALPHA
            covered += interval.low <= planted <= interval.high
            bar.advance()
    return Rates(num_simulations, by_speakers, by_productions, covered)


def _systems(rng: np.random.Generator, planted: float, effect: float) -> list[SpeakerUnits]:
    """Both systems' answers to all words of all speakers."""
    rates = rng.uniform(10.0, 90.0, size=(NUM_SPEAKERS, 1))
    better = planted + effect * rng.standard_normal((NUM_SPEAKERS, 1))
    luck = rng.random((2, NUM_SPEAKERS, NUM_WORDS))
    luck[1] = np.where(rng.random((NUM_SPEAKERS, NUM_WORDS)) < _SHARED, luck[0], luck[1])
    right = np.stack([100.0 * luck[0] < rates, 100.0 * luck[1] < rates + better], axis=-1)
    speakers = [f"s{index}" for index in range(NUM_SPEAKERS) for _ in range(NUM_WORDS)]
    return group_units(speakers, None, right.reshape(-1, 2).astype(np.float64))


if __name__ == "__main__":
    main()
