"""The one place that weighs the terms of a loss against each other."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from kdspeech.choices import LOSS_TERMS
from kdspeech.errors import ConfigError, RunError
from kdspeech.losses.loss_sum import LossSum


class WeightedLoss(NamedTuple):
    """What one step optimises, and its parts for the log."""

    total: Tensor  # float32 []
    parts: dict[str, Tensor]  # mean of each term, before its weight, detached


class WeightedSum:
    """Named terms times weights; each term is normalised here, once, and nowhere else."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        """Keeps the terms whose weight is not zero.

        Raises:
            ConfigError: an unknown term, a negative weight, or nothing left.
        """
        unknown = sorted(set(weights) - set(LOSS_TERMS))
        if unknown:
            raise ConfigError(f"unknown loss terms {', '.join(unknown)}; there are {', '.join(LOSS_TERMS)}.")
        negative = [name for name, weight in weights.items() if weight < 0]
        if negative:
            raise ConfigError(
                f"loss weights must not be negative: {', '.join(f'{n} {weights[n]:g}' for n in negative)}."
            )
        self.weights = {name: float(weight) for name, weight in weights.items() if weight > 0}
        if not self.weights:
            raise ConfigError("a loss needs at least one term with a weight above 0.")

    @property
    def terms(self) -> tuple[str, ...]:
        """The terms that must be computed."""
        return tuple(self.weights)

    @property
    def formula(self) -> str:
        """For the log, for example `0.5 ctc + 0.5 cross_entropy + 0.1 frame_kl`."""
        return " + ".join(f"{weight:g} {name}" for name, weight in self.weights.items())

    def __call__(self, sums: Mapping[str, LossSum]) -> WeightedLoss:
        """Weighs the terms' means.

        Args:
            sums: one entry for each of `terms`, and no other.

        Raises:
            RunError: a term has no data, or data has no weight.
        """
        missing = [name for name in self.weights if name not in sums]
        if missing:
            raise RunError(
                f"the loss {self.formula} has no data for {', '.join(missing)}. The *_kl and nbest_* terms need "
                "what teachers say: run `kdspeech dump-teachers` with the kinds they use, or choose --mode labels."
            )
        extra = sorted(set(sums) - set(self.weights))
        if extra:
            raise RunError(f"loss terms without a weight: {', '.join(extra)}; the formula is {self.formula}.")
        means = {name: sums[name].mean for name in self.weights}
        total = torch.stack([weight * means[name] for name, weight in self.weights.items()]).sum()
        return WeightedLoss(total, {name: mean.detach() for name, mean in means.items()})
