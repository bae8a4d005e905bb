"""Losses on distributions: the teachers', or another view's of the same recording.

Shapes: B batch, T frames, V vocabulary.
"""

import torch
from torch import Tensor

from kdspeech.logspace import LOG_ZERO
from kdspeech.losses.loss_sum import LossSum


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
