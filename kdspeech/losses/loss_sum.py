"""What every loss returns: a sum and what it runs over."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class LossSum:
    """A loss before its one normalisation."""

    sum: Tensor  # float32 [], nats
    count: Tensor  # int64 [], what the sum runs over: tokens, positions or frames

    @property
    def mean(self) -> Tensor:
        """sum / count; 0 where nothing was counted, as when a mask keeps no frame of a batch."""
        return self.sum / self.count.clamp(min=1)
