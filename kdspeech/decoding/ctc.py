"""Greedy CTC decoding.

Shapes: B batch, T frames, V vocabulary.
"""

import torch

from kdspeech.decoding.hypothesis import Hypothesis
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
        hypotheses.append(Hypothesis(vocabulary.decode(token_ids), token_ids, log_prob))
    return hypotheses
