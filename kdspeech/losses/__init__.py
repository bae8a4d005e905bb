"""Training losses: pure functions that return (sum, count), and the one place that weighs them against each other.

Nothing is averaged inside: WeightedSum divides each sum by its count once, so accumulation and batch size never change
the scale of a gradient. All arithmetic is in float32. Student log-probs come from a log-softmax and are finite.
"""

from kdspeech.losses.hard_labels import cross_entropy, ctc_loss, frames_needed
from kdspeech.losses.loss_sum import LossSum
from kdspeech.losses.soft_targets import masked_kl
from kdspeech.losses.weighted_sum import WeightedLoss, WeightedSum

__all__ = [
    "LossSum",
    "WeightedLoss",
    "WeightedSum",
    "cross_entropy",
    "ctc_loss",
    "frames_needed",
    "masked_kl",
]
