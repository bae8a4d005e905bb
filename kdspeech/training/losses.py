"""Training losses: pure functions that return (sum, count), and the one place that weighs them against each other.

Nothing is averaged inside: WeightedSum divides each sum by its count once, so accumulation and batch size never change
the scale of a gradient. All arithmetic is in float32. Student log-probs come from a log-softmax and are finite.

Shapes: B batch, T frames, U decoder positions or tokens, V vocabulary.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from kdspeech.choices import LOSS_TERMS
from kdspeech.errors import ConfigError, RunError
from kdspeech.logspace import LOG_ZERO


@dataclass(frozen=True)
class LossSum:
    """A loss before its one normalisation."""

    sum: Tensor  # float32 [], nats
    count: Tensor  # int64 [], what the sum runs over: tokens, positions or frames

    @property
    def mean(self) -> Tensor:
        """sum / count; 0 where nothing was counted, as when a mask keeps no frame of a batch."""
        return self.sum / self.count.clamp(min=1)


def ctc_loss(log_probs: Tensor, num_frames: Tensor, tokens: Tensor, num_tokens: Tensor, blank_id: int) -> LossSum:
    """-log p(tokens | x), the sum over all alignments (Graves et al. 2006, eq. 8), by torch.

    torch's gradient is that of the logits: it is right only where `log_probs` come directly out of a log-softmax.

    Args:
        log_probs: [B, T, V+1].
        num_frames: int64 [B], valid frames.
        tokens: int64 [B, U]; what stands after `num_tokens` is ignored.
        num_tokens: int64 [B].
        blank_id: the blank's column.

    Returns:
        The sum over utterances; the count is of tokens.

    Raises:
        RunError: an utterance has fewer frames than its tokens and the blanks between repeated ones need. It is never
            zeroed silently: such utterances belong out of the manifest.
    """
    needed = frames_needed(tokens, num_tokens)
    short = torch.nonzero(num_frames < needed).flatten().tolist()
    if short:
        raise RunError(
            f"{len(short)} utterances of a batch are too short for CTC: "
            + "; ".join(f"index {i}: {int(needed[i])} frames needed, {int(num_frames[i])} there" for i in short[:5])
            + ". Leave them out of the manifest, or use a smaller subsampling factor or longer pieces."
        )
    losses = F.ctc_loss(
        log_probs.float().transpose(0, 1),  # [T, B, V+1]
        tokens,
        num_frames,
        num_tokens,
        blank=blank_id,
        reduction="none",
    )  # [B]
    return LossSum(losses.sum(), num_tokens.sum())


def frames_needed(tokens: Tensor, num_tokens: Tensor) -> Tensor:
    """Frames of the shortest CTC alignment: one a token, and a blank between two equal neighbours.

    Args:
        tokens: int64 [B, U].
        num_tokens: int64 [B].

    Returns:
        int64 [B].
    """
    positions = torch.arange(1, tokens.shape[1], device=tokens.device)  # [U-1]
    repeats = (tokens[:, 1:] == tokens[:, :-1]) & (positions < num_tokens[:, None])  # [B, U-1]
    return num_tokens + repeats.sum(dim=1)


def cross_entropy(log_probs: Tensor, targets: Tensor, mask: Tensor, label_smoothing: float) -> LossSum:
    """-(1 - e) log p(y) - e / (V+1) sum_c log p(c), e = label smoothing (Szegedy et al. 2016, section 7).

    Args:
        log_probs: [B, U, V+1].
        targets: int64 [B, U].
        mask: bool [B, U], true where there is a target.
        label_smoothing: e, in [0, 1).

    Returns:
        The sum over unmasked positions; the count is theirs.
    """
    rows = log_probs[mask].float()  # [M, V+1]
    hit = -rows.gather(1, targets[mask][:, None]).squeeze(1)  # [M]
    spread = -rows.mean(dim=1)  # [M]
    return LossSum(((1 - label_smoothing) * hit + label_smoothing * spread).sum(), mask.sum())


def masked_kl(student_log_probs: Tensor, target_log_probs: Tensor, mask: Tensor, temperature: float) -> LossSum:
    """t^2 KL(p || q), p the target, q = softmax(log student / t) (Hinton et al. 2015, section 2).

    The factor t^2 keeps the gradient's size beside hard-label terms: without it it shrinks as 1/t^2. It is a
    divergence, not a cross-entropy: 0 where the student equals the target. Serves frames (`frame_kl`) and decoder
    positions (`token_kl`).

    Args:
        student_log_probs: [B, T, V+1], at temperature 1.
        target_log_probs: [B, T, V+1], already at temperature t; LOG_ZERO stands for log 0.
        mask: bool [B, T], true where the row counts; what stands elsewhere is never looked at.
        temperature: t > 0.

    Returns:
        The sum over unmasked rows; the count is theirs.
    """
    student = torch.log_softmax(student_log_probs[mask].float() / temperature, dim=-1)  # [M, V+1]
    target = target_log_probs[mask].float().clamp(min=LOG_ZERO)  # [M, V+1]
    divergence = (target.exp() * (target - student)).sum()
    return LossSum(temperature**2 * divergence, mask.sum())


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
                f"the loss {self.formula} has no data for {', '.join(missing)}. The *_kl terms need the teachers' "
                "targets: run `kdspeech dump-teachers` with the kinds they use, or choose --mode labels."
            )
        extra = sorted(set(sums) - set(self.weights))
        if extra:
            raise RunError(f"loss terms without a weight: {', '.join(extra)}; the formula is {self.formula}.")
        means = {name: sums[name].mean for name in self.weights}
        total = torch.stack([weight * means[name] for name, weight in self.weights.items()]).sum()
        return WeightedLoss(total, {name: mean.detach() for name, mean in means.items()})
