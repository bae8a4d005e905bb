"""What every loss returns, a sum and what it runs over, and the ways to make one.

Shapes: B batch, M kept rows; ... any further axes of a mask, C columns.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class LossSum:
    """A loss before its one normalisation."""

    sum: Tensor  # float32 [], nats
    count: Tensor  # [], what the sum runs over: tokens, positions or frames; int64, or float32 where they are weighted

    @property
    def mean(self) -> Tensor:
        """sum / count; 0 where nothing was counted, as when a mask keeps no frame of a batch."""
        return self.sum / torch.where(self.count > 0, self.count, 1)


def sum_rows(values: Tensor, mask: Tensor, weights: Tensor | None) -> LossSum:
    """Sums one value a kept row; `weights` weigh the count as they weigh the sum, so that the mean is a weighted mean.

    Args:
        values: [M], of the rows that the mask keeps, in its order.
        mask: bool [B, ...], with M true entries.
        weights: float32 [B] at least 0, of utterances; None: all 1.
    """
    if weights is None:
        return LossSum(values.sum(), mask.sum())
    shape = (-1, *[1] * (mask.dim() - 1))
    row_weights = weights.to(values.dtype).view(shape).expand_as(mask)[mask]  # [M]
    return LossSum((row_weights * values).sum(), row_weights.sum())


def at_least_float32(tensor: Tensor) -> Tensor:
    """Lifts half precision to float32. float64 stays, for numerical checks of gradients."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


def masked_log_softmax(log_probs: Tensor, mask: Tensor, temperature: float) -> Tensor:
    """The kept rows at temperature t: softmax(log p / t) = softmax(logits / t).

    Args:
        log_probs: [B, ..., C].
        mask: bool [B, ...]; rows outside are not looked at, and get no gradient.
        temperature: t > 0.

    Returns:
        At least float32 [M, C].
    """
    return torch.log_softmax(at_least_float32(log_probs[mask]) / temperature, dim=-1)
