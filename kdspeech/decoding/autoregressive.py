"""The attention decoder, one token after another: rules of the search, greedy search, and scores of given texts.

Shapes: B batch, U decoder positions so far, V vocabulary, N texts of all utterances together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.utils.rnn import pad_sequence

from kdspeech.hypothesis import Hypothesis, path_confidence
from kdspeech.protocols import Encoded, Student


@dataclass(frozen=True)
class SearchRules:
    """How the next token is judged; the defaults leave the model's word alone."""

    repetition_penalty: float = 1.0  # log-probs of tokens that were said already are multiplied by it; 1 for none
    end_threshold: float = 0.0  # the end must have log p(end) > threshold * max log p(other token); 0 for none

    def judge(self, log_probs: torch.Tensor, said: torch.Tensor, end_id: int) -> torch.Tensor:
        """Log-probs as the search should see them; they decide what is said, not how probable it is.

        The repetition penalty is that of CTRL (Keskar et al. 2019, 1909.05858, section 4.1) on log-probs; the end
        threshold that of Hannun et al. 2019 (1904.02619), which wants a factor above 1.

        Args:
            log_probs: [B, V+1] of the next token, -inf for what is forbidden.
            said: int64 [B, U], the tokens so far; `end_id` stands for none.
            end_id: the end's column, V.
        """
        if self.repetition_penalty != 1.0:
            repeated = torch.zeros_like(log_probs, dtype=torch.bool).scatter_(1, said, True)
            repeated[:, end_id] = False
            log_probs = torch.where(repeated, log_probs * self.repetition_penalty, log_probs)
        if self.end_threshold:
            others = log_probs[:, :end_id].amax(dim=1)
            early = log_probs[:, end_id] <= self.end_threshold * others
            log_probs = log_probs.clone()
            log_probs[early, end_id] = -torch.inf
        return log_probs


NO_RULES = SearchRules()


def next_log_probs(student: Student, encoded: Encoded, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The next token's log-probs, as they are and without what must not be said.

    Pieces that stand for no text (unknown, control) are never chosen: they would be fed back and yet not be seen in the
    text.

    Args:
        tokens: int64 [B, U], beginning with column V.

    Returns:
        float64 [B, V+1], twice.
    """
    forbidden = torch.tensor(sorted(student.vocabulary.special_ids), dtype=torch.long, device=tokens.device)
    rows = student.decoder_log_probs(encoded, tokens)[:, -1].double()  # [B, V+1]
    return rows, rows.index_fill(1, forbidden, -torch.inf)


@torch.inference_mode()
def greedy_decoder(
    student: Student, encoded: Encoded, max_tokens: torch.Tensor, rules: SearchRules = NO_RULES
) -> list[Hypothesis]:
    """Feeds the decoder its own best token until it says the end, or until the audio can hold no more.

    Starts from column V (begin of sentence) and stops an utterance at column V (end).

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
    batch_size = len(limits)
    tokens = torch.full((batch_size, 1), vocabulary.end_id, dtype=torch.long, device=device)  # [B, U]
    log_probs = torch.zeros(batch_size, dtype=torch.float64, device=device)
    running = limits > 0  # [B]
    while bool(running.any()):
        rows, allowed = next_log_probs(student, encoded, tokens)
        chosen = rules.judge(allowed, tokens, vocabulary.end_id).argmax(dim=1)  # [B]
        chosen = chosen.masked_fill(~running, vocabulary.end_id)
        log_probs += torch.where(running, rows.gather(1, chosen[:, None])[:, 0], 0.0)
        tokens = torch.cat([tokens, chosen[:, None]], dim=1)  # [B, U + 1]
        running &= (chosen != vocabulary.end_id) & (tokens.shape[1] - 1 < limits)
    hypotheses = []
    for row, log_prob in zip(tokens[:, 1:].tolist(), log_probs.tolist(), strict=True):
        end = row.index(vocabulary.end_id) if vocabulary.end_id in row else len(row)
        token_ids = tuple(row[:end])
        hypotheses.append(
            Hypothesis(vocabulary.decode(token_ids), token_ids, log_prob, path_confidence(log_prob, len(token_ids)))
        )
    return hypotheses


@torch.inference_mode()
def decoder_log_likelihoods(
    student: Student, encoded: Encoded, max_tokens: torch.Tensor, texts: Sequence[Sequence[tuple[int, ...]]]
) -> list[list[float]]:
    """log p(C | x) of token sequences C by the attention decoder, their end included.

    Args:
        encoded: the encoder's output of B utterances.
        max_tokens: int64 [B]; a text of so many tokens has no end to say, as in the searches.
        texts: for each of B utterances any number of token sequences, none longer than its `max_tokens`.

    Returns:
        For each utterance its texts' log-likelihoods.
    """
    device, end_id = encoded.states.device, student.vocabulary.end_id
    owners = [b for b, some in enumerate(texts) for _ in some]
    flat = [torch.tensor(token_ids, dtype=torch.long) for some in texts for token_ids in some]
    if not flat:
        return [[] for _ in texts]
    rows = torch.tensor(owners, device=device)  # [N]
    said = pad_sequence(flat, batch_first=True, padding_value=end_id).to(device)  # [N, U]
    begin = said.new_full((len(flat), 1), end_id)
    repeated = Encoded(encoded.states[rows], encoded.num_frames[rows])
    log_probs = student.decoder_log_probs(repeated, torch.cat([begin, said], dim=1)).double()  # [N, U+1, V+1]
    chosen = log_probs.gather(2, torch.cat([said, begin], dim=1)[:, :, None])[:, :, 0]  # [N, U+1]
    lengths = torch.tensor([len(tokens) for tokens in flat], device=device)
    counted = lengths + (lengths < max_tokens.to(device)[rows])  # the end counts where there was room for it
    inside = torch.arange(chosen.shape[1], device=device) < counted[:, None]
    values = iter(chosen.masked_fill(~inside, 0.0).sum(dim=1).tolist())
    return [[next(values) for _ in some] for some in texts]
