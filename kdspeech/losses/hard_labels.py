"""Losses on transcripts: one, or a weighted list of hypotheses for each utterance.

Shapes: B batch, T frames, U decoder positions or tokens, V vocabulary, N hypotheses of all utterances of a batch.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from kdspeech.errors import RunError
from kdspeech.losses.loss_sum import LossSum, at_least_float32, sum_rows


def ctc_loss(
    log_probs: Tensor,
    num_frames: Tensor,
    tokens: Tensor,
    num_tokens: Tensor,
    blank_id: int,
    weights: Tensor | None = None,
) -> LossSum:
    """-log p(tokens | x), the sum over all alignments (Graves et al. 2006, eq. 8), by torch.

    torch's gradient is that of the logits: it is right only where `log_probs` come directly out of a log-softmax.

    Args:
        log_probs: [B, T, V+1].
        num_frames: int64 [B], valid frames.
        tokens: int64 [B, U]; what stands after `num_tokens` is ignored.
        num_tokens: int64 [B].
        blank_id: the blank's column.
        weights: float32 [B], at least 0, as a pseudo-label's confidence; None: all 1. They weigh the count as they
            weigh the sum, so that the mean is a weighted mean. With 0 an utterance counts for nothing, even where it
            is too short.

    Returns:
        The sum over utterances; the count is of tokens, each weighed as its utterance.

    Raises:
        RunError: an utterance has fewer frames than its tokens and the blanks between repeated ones need. It is never
            zeroed silently: such utterances belong out of the manifest.
    """
    if weights is not None:
        num_tokens = torch.where(weights > 0, num_tokens, 0)  # no tokens fit into any frames
    needed = frames_needed(tokens, num_tokens)
    short = torch.nonzero(num_frames < needed).flatten().tolist()
    if short:
        raise RunError(
            f"{len(short)} utterances of a batch are too short for CTC: "
            + "; ".join(f"index {i}: {int(needed[i])} frames needed, {int(num_frames[i])} there" for i in short[:5])
            + ". Leave them out of the manifest, or use a smaller subsampling factor or longer pieces."
        )
    losses = F.ctc_loss(
        at_least_float32(log_probs).transpose(0, 1),  # [T, B, V+1]
        tokens,
        num_frames,
        num_tokens,
        blank=blank_id,
        reduction="none",
    )  # [B]
    if weights is None:
        return LossSum(losses.sum(), num_tokens.sum())
    return LossSum((weights * losses).sum(), (weights * num_tokens).sum())


def frames_needed(tokens: Tensor, num_tokens: Tensor) -> Tensor:
    """Frames of the shortest CTC alignment: one a token, and a blank between two equal neighbours.

    Args:
        tokens: int64 [B, U].
        num_tokens: int64 [B].

    Returns:
        int64 [B].
    """
    positions = torch.arange(1, max(1, tokens.shape[1]), device=tokens.device)  # [U-1]; no tokens at all are allowed
    repeats = (tokens[:, 1:] == tokens[:, :-1]) & (positions < num_tokens[:, None])  # [B, U-1]
    return num_tokens + repeats.sum(dim=1)


def cross_entropy(
    log_probs: Tensor, targets: Tensor, mask: Tensor, label_smoothing: float, weights: Tensor | None = None
) -> LossSum:
    """-(1 - e) log p(y) - e / (V+1) sum_c log p(c), e = label smoothing (Szegedy et al. 2016, section 7).

    Args:
        log_probs: [B, U, V+1].
        targets: int64 [B, U].
        mask: bool [B, U], true where there is a target.
        label_smoothing: e, in [0, 1).
        weights: float32 [B], at least 0, as a pseudo-label's confidence; None: all 1. They weigh the count as they
            weigh the sum, so that the mean is a weighted mean.

    Returns:
        The sum over unmasked positions; the count is theirs, each weighed as its utterance.
    """
    rows = at_least_float32(log_probs[mask])  # [M, V+1]
    hit = -rows.gather(1, targets[mask][:, None]).squeeze(1)  # [M]
    spread = -rows.mean(dim=1)  # [M]
    return sum_rows((1 - label_smoothing) * hit + label_smoothing * spread, mask, weights)


class NBest(NamedTuple):
    """The hypotheses of a batch, one after the other. A named tuple, since Lightning cannot move frozen dataclasses."""

    tokens: Tensor  # int64 [N, U]; what stands after `num_tokens` is ignored
    num_tokens: Tensor  # int64 [N]
    utterances: Tensor  # int64 [N], whose hypothesis it is: an index into the batch
    weights: Tensor  # float32 [N], at least 0; those of an utterance sum to 1, or to its confidence


def nbest_ctc_loss(log_probs: Tensor, num_frames: Tensor, hypotheses: NBest, blank_id: int) -> LossSum:
    """-sum_n w_n log p(y_n | x) by CTC: sequence-level distillation from weighted hypotheses.

    Takashima et al. 2018 and 2019 and Huang et al. 2018 teach CTC models so; the weights stand for the teachers'
    posterior of the sequences, q(y | x) of Kim & Rush 2016, section 3.2, cut down to n of them.

    Hypotheses that do not fit into the student's frames have no alignment: they are left out, and the other weights of
    their utterance grow in proportion, so that the utterance weighs what it weighed. Where none of an utterance's
    hypotheses fits, it is not counted.

    Args:
        log_probs: [B, T, V+1], directly out of a log-softmax.
        num_frames: int64 [B].
        hypotheses: of any number of utterances of the batch.
        blank_id: the blank's column.

    Returns:
        The sum over hypotheses; the count is of tokens, each by its hypothesis' weight. With one hypothesis of weight 1
        for each utterance it is `ctc_loss`.
    """
    tokens, num_tokens, utterances, _ = hypotheses
    if len(tokens) == 0:
        nothing = log_probs[:0].sum()  # 0, and still part of the graph
        return LossSum(nothing, nothing.detach())
    weights = weights_of_fitting(hypotheses, num_frames)
    return ctc_loss(log_probs[utterances], num_frames[utterances], tokens, num_tokens, blank_id, weights)


def weights_of_fitting(hypotheses: NBest, num_frames: Tensor) -> Tensor:
    """The weights with those of hypotheses that need too many frames handed to the others of their utterance.

    Args:
        hypotheses: N of them.
        num_frames: int64 [B].

    Returns:
        float32 [N], 0 where a hypothesis does not fit; those of an utterance sum to what they summed to before, or to 0
        where none fits.
    """
    tokens, num_tokens, utterances, weights = hypotheses
    fits = frames_needed(tokens, num_tokens) <= num_frames[utterances]  # [N]
    fitting = torch.where(fits, weights, 0.0)  # [N]
    none = weights.new_zeros(len(num_frames))  # [B]
    before, after = none.index_add(0, utterances, weights), none.index_add(0, utterances, fitting)  # [B], [B]
    scale = before / torch.where(after > 0, after, 1.0)  # [B]; where nothing fits it meets zeros only
    return fitting * scale[utterances]


def nbest_cross_entropy(log_probs: Tensor, hypotheses: NBest, end_id: int) -> LossSum:
    """-sum_n w_n sum_u log p(y_n,u | y_n,<u, x): sequence-level distillation of a decoder.

    Kim & Rush 2016, section 3.2, with hypotheses n of weight w_n for the teachers' posterior q(y | x). A decoder has no
    frames to run out of: no hypothesis is left out.

    Args:
        log_probs: [N, U+1, V+1], teacher-forced on each hypothesis: row n has read `end_id` and then its tokens.
        hypotheses: N of them.
        end_id: the end of sentence's column.

    Returns:
        The sum over hypotheses; the count is of tokens and ends, each by its hypothesis' weight.
    """
    tokens, num_tokens, _, weights = hypotheses
    positions = torch.arange(tokens.shape[1] + 1, device=tokens.device)  # [U+1]
    mask = positions <= num_tokens[:, None]  # [N, U+1]
    targets = F.pad(tokens, (0, 1), value=end_id).masked_fill(positions == num_tokens[:, None], end_id)  # [N, U+1]
    return cross_entropy(log_probs, targets, mask, 0.0, weights)
