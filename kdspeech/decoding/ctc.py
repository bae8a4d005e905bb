"""Greedy CTC decoding, and the exact CTC likelihood of given texts.

Shapes: B batch, T frames, V vocabulary, N texts of all utterances together.
"""

from collections.abc import Sequence

import torch

from kdspeech.hypothesis import Hypothesis, path_confidence
from kdspeech.logspace import LOG_ZERO
from kdspeech.vocabulary import Vocabulary


def greedy_ctc(log_probs: torch.Tensor, num_frames: torch.Tensor, vocabulary: Vocabulary) -> list[Hypothesis]:
    """Takes the best column of every frame, merges repeats and drops blanks.

    Best path decoding of Graves et al. 2006 (Connectionist Temporal Classification), section 3.2.

    Args:
        log_probs: [B, T, V+1], blank last.
        num_frames: int64 [B]; later frames are padding and are not looked at.

    Returns:
        B hypotheses; `log_prob` is the best path's, the sum over its frames.

    Raises:
        VocabularyError: the log-probs have another number of columns than the vocabulary.
    """
    vocabulary.check_columns(log_probs.shape[-1])
    best_log_probs, best_columns = (tensor.cpu() for tensor in log_probs.max(dim=-1))  # [B, T] each
    hypotheses = []
    for frame_log_probs, columns, length in zip(best_log_probs, best_columns, num_frames.tolist(), strict=True):
        merged = torch.unique_consecutive(columns[:length]).tolist()
        token_ids = tuple(column for column in merged if column != vocabulary.blank_id)
        log_prob = float(frame_log_probs[:length].double().sum())
        hypotheses.append(
            Hypothesis(vocabulary.decode(token_ids), token_ids, log_prob, path_confidence(log_prob, len(token_ids)))
        )
    return hypotheses


def text_log_likelihoods(
    log_probs: torch.Tensor, num_frames: torch.Tensor, texts: Sequence[Sequence[tuple[int, ...]]]
) -> list[list[float]]:
    """log p(C | x) of token sequences C, summed over all their alignments (Graves et al. 2006, eq. 3).

    Args:
        log_probs: [B, T, V+1], blank last.
        num_frames: int64 [B].
        texts: for each of B utterances any number of token sequences; the empty one is all blanks.

    Returns:
        For each utterance its texts' log-likelihoods; LOG_ZERO where a text needs more frames than there are.
    """
    rows = torch.tensor([b for b, some in enumerate(texts) for _ in some], dtype=torch.long, device=log_probs.device)
    tokens = [list(token_ids) for some in texts for token_ids in some]
    if not tokens:
        return [[] for _ in texts]
    losses = torch.nn.functional.ctc_loss(
        log_probs[rows].transpose(0, 1).double(),  # [T, N, V+1]
        torch.tensor([token for token_ids in tokens for token in token_ids], dtype=torch.long, device=rows.device),
        num_frames.to(rows.device)[rows],
        torch.tensor([len(token_ids) for token_ids in tokens], device=rows.device),
        blank=log_probs.shape[2] - 1,
        reduction="none",
    )
    values = iter((-losses).clamp(min=LOG_ZERO).tolist())
    return [[next(values) for _ in some] for some in texts]
