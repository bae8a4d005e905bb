"""Random numbers by name, which depend on what they are for, never on the order in which they are asked for; and one
distribution that NumPy lacks."""

import math
from hashlib import sha256

import numpy as np

from kdspeech.config import Range


def uniform(*names: object) -> float:
    """A number in [0, 1) that belongs to these names, in every process."""
    return _integer(names) / 2**64


def generator(*names: object) -> np.random.Generator:
    """A stream of random numbers that belongs to these names."""
    return np.random.Generator(np.random.PCG64(_integer(names)))


def draw_logarithmically(bounds: Range, rng: np.random.Generator) -> float:
    """A value between two positive bounds, evenly over its logarithm."""
    return math.exp(rng.uniform(*np.log(bounds)))


def _integer(names: tuple[object, ...]) -> int:
    return int.from_bytes(sha256("\0".join(map(str, names)).encode()).digest()[:8])
