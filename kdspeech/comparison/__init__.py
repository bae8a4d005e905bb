"""Whether chance alone would set two systems so far apart: permutation tests and the interval of a difference."""
