"""Training losses: pure functions that return (sum, count), and the one place that weighs them against each other.

Nothing is averaged inside: WeightedSum divides each sum by its count once, so accumulation and batch size never change
the scale of a gradient. Arithmetic is in float32 at least. Student log-probs come from a log-softmax and are finite.
"""

from kdspeech.losses.hard_labels import (
    NBest,
    cross_entropy,
    ctc_loss,
    frames_needed,
    nbest_cross_entropy,
    nbest_ctc_loss,
    weights_of_fitting,
)
from kdspeech.losses.loss_sum import LossSum
from kdspeech.losses.soft_targets import (
    consistency_kl,
    delay_tolerant_kl,
    masked_kl,
    symmetric_mask,
    word_posterior_kl,
)
from kdspeech.losses.weighted_sum import WeightedLoss, WeightedSum

__all__ = [
    "LossSum",
    "NBest",
    "WeightedLoss",
    "WeightedSum",
    "consistency_kl",
    "cross_entropy",
    "ctc_loss",
    "delay_tolerant_kl",
    "frames_needed",
    "masked_kl",
    "nbest_cross_entropy",
    "nbest_ctc_loss",
    "symmetric_mask",
    "weights_of_fitting",
    "word_posterior_kl",
]
