"""Log-probabilities: natural logs, with a finite stand-in for log 0.

Infinities turn into NaN as soon as one is multiplied by a zero probability, so log 0 is stored as LOG_ZERO: float16
holds it exactly, and exp(LOG_ZERO) is 0 in every float format. Rows of single utterances are small: numpy handles them
without waking the threads that torch would. Shapes: ... any leading axes, C columns.
"""

import numpy as np

LOG_ZERO = -1e4  # stands for log 0


def log_sum_exp(log_weights: np.ndarray, axis: int) -> np.ndarray:
    """log of the sum of exp over one axis, which is kept with size 1.

    Args:
        log_weights: finite values.
    """
    highest = log_weights.max(axis=axis, keepdims=True)
    total: np.ndarray = highest + np.log(np.exp(log_weights - highest).sum(axis=axis, keepdims=True))
    return total


def normalise(log_weights: np.ndarray) -> np.ndarray:
    """Log-softmax over the last axis, without infinities.

    Args:
        log_weights: float32 [..., C] unnormalised log-probabilities or logits, finite.

    Returns:
        float32 [..., C] log-probabilities, at least LOG_ZERO each.
    """
    if log_weights.size == 0:
        return log_weights.astype(np.float32)
    return np.maximum(log_weights - log_sum_exp(log_weights, axis=-1), LOG_ZERO).astype(np.float32)


def normalisation_error(log_probs: np.ndarray) -> float:
    """The largest |sum of probabilities - 1| over all rows of [..., C]; 0 for no rows.

    The sum is taken in float64: with thousands of columns float32 itself is off by 1e-4.
    """
    if log_probs.size == 0:
        return 0.0
    sums = np.exp(log_probs.astype(np.float64)).sum(axis=-1)
    return float(np.abs(sums - 1.0).max())
