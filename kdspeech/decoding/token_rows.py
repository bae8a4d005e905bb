"""Decoding of teacher-forced decoder rows: what the rows themselves say, read off position by position.

Shapes: B batch, U decoder positions (tokens + end of sentence), V vocabulary.
"""

import torch

from kdspeech.hypothesis import Hypothesis, path_confidence
from kdspeech.vocabulary import Vocabulary


def decode_token_rows(log_probs: torch.Tensor, num_tokens: torch.Tensor, vocabulary: Vocabulary) -> list[Hypothesis]:
    """Takes the best column of every row up to the first end of sentence.

    The rows were computed with the reference as the decoder's input, so the text tells whether stored rows or targets
    are sound; it is not a recognition result.

    Args:
        log_probs: [B, U, V+1], column V = end of sentence.
        num_tokens: int64 [B], valid rows of each utterance: its tokens and the end of sentence.

    Returns:
        B hypotheses; `log_prob` is the sum over the rows that were read, the end of sentence among them.

    Raises:
        VocabularyError: the log-probs have another number of columns than the vocabulary.
    """
    vocabulary.check_columns(log_probs.shape[-1])
    best_log_probs, best_columns = (tensor.cpu() for tensor in log_probs.max(dim=-1))  # [B, U] each
    hypotheses = []
    for row_log_probs, columns, length in zip(best_log_probs, best_columns, num_tokens.tolist(), strict=True):
        read = columns[:length].tolist()
        end = read.index(vocabulary.end_id) if vocabulary.end_id in read else length
        token_ids = tuple(read[:end])
        log_prob = float(row_log_probs[: min(end + 1, length)].double().sum())
        hypotheses.append(Hypothesis(vocabulary.decode(token_ids), token_ids, log_prob, path_confidence(log_prob, end)))
    return hypotheses
