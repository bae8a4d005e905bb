"""Losses on transcripts.

Shapes: B batch, T frames, U decoder positions or tokens, V vocabulary.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from kdspeech.errors import RunError
from kdspeech.losses.loss_sum import LossSum


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
