"""Greedy decoding by the student's attention decoder.

Shapes: B batch, U decoder positions so far, V vocabulary.
"""

import torch

from kdspeech.decoding.hypothesis import Hypothesis
from kdspeech.protocols import Encoded, Student


@torch.inference_mode()
def greedy_decoder(student: Student, encoded: Encoded, max_tokens: torch.Tensor) -> list[Hypothesis]:
    """Feeds the decoder its own best token until it says the end, or until the audio can hold no more.

    Starts from column V (begin of sentence) and stops an utterance at column V (end). Pieces that stand for no text
    (unknown, control) are never chosen: they would be fed back and yet not be seen in the text.

    Args:
        encoded: the encoder's output of B utterances.
        max_tokens: int64 [B], tokens at which an utterance stops even without its end; `encoded.num_frames` gives each
            token one frame, as CTC does, and so keeps a decoder from running away.

    Returns:
        B hypotheses; `log_prob` sums the chosen columns' log-probs, the end of sentence among them where it was said.
    """
    vocabulary = student.vocabulary
    device = encoded.states.device
    limits = max_tokens.to(device)
    forbidden = torch.tensor(sorted(vocabulary.special_ids), dtype=torch.long, device=device)
    batch_size = len(limits)
    tokens = torch.full((batch_size, 1), vocabulary.end_id, dtype=torch.long, device=device)  # [B, U]
    log_probs = torch.zeros(batch_size, dtype=torch.float64, device=device)
    running = limits > 0  # [B]
    while bool(running.any()):
        rows = student.decoder_log_probs(encoded, tokens)[:, -1].double()  # [B, V+1]
        allowed = rows.index_fill(1, forbidden, -torch.inf)
        chosen = allowed.argmax(dim=1)  # [B]
        chosen = chosen.masked_fill(~running, vocabulary.end_id)
        log_probs += torch.where(running, rows.gather(1, chosen[:, None])[:, 0], 0.0)
        tokens = torch.cat([tokens, chosen[:, None]], dim=1)  # [B, U + 1]
        running &= (chosen != vocabulary.end_id) & (tokens.shape[1] - 1 < limits)
    hypotheses = []
    for row, log_prob in zip(tokens[:, 1:].tolist(), log_probs.tolist(), strict=True):
        end = row.index(vocabulary.end_id) if vocabulary.end_id in row else len(row)
        token_ids = tuple(row[:end])
        hypotheses.append(Hypothesis(vocabulary.decode(token_ids), token_ids, log_prob))
    return hypotheses
