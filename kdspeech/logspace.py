"""Log-probabilities: natural logs, with a finite stand-in for log 0.

Infinities turn into NaN as soon as one is multiplied by a zero probability, so log 0 is stored as LOG_ZERO: float16
holds it exactly, and exp(LOG_ZERO) is 0 in every float format. Shapes: ... any leading axes, C columns.
"""

import numpy as np
import torch
from torch import Tensor

LOG_ZERO = -1e4  # stands for log 0


def clamp_log_zero(log_probs: Tensor) -> Tensor:
    """Lifts everything below LOG_ZERO, minus infinity too, to LOG_ZERO."""
    return log_probs.clamp(min=LOG_ZERO)


def normalise(log_weights: Tensor) -> Tensor:
    """Log-softmax over the last axis, without infinities.

    Args:
        log_weights: [..., C] unnormalised log-probabilities or logits.

    Returns:
        [..., C] log-probabilities, at least LOG_ZERO each.
    """
    return clamp_log_zero(torch.log_softmax(log_weights, dim=-1))


def normalisation_error(log_probs: np.ndarray) -> float:
    """The largest |sum of probabilities - 1| over all rows of [..., C]; 0 for no rows.

    The sum is taken in float64: with thousands of columns float32 itself is off by 1e-4.
    """
    if log_probs.size == 0:
        return 0.0
    sums = np.exp(log_probs.astype(np.float64)).sum(axis=-1)
    return float(np.abs(sums - 1.0).max())
