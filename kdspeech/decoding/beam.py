"""Beam search by the attention decoder.

Shapes: B batch, K beam, U decoder positions so far, V vocabulary.
"""

from dataclasses import dataclass, field

import torch

from kdspeech.decoding.autoregressive import NO_RULES, SearchRules, next_log_probs
from kdspeech.hypothesis import Hypothesis, best_of, path_confidence
from kdspeech.protocols import Encoded, Student
from kdspeech.vocabulary import Vocabulary


@dataclass(frozen=True)
class BeamOptions:
    """How wide the search is, and what ranks a finished text."""

    size: int  # K, unfinished texts kept at each step
    length_norm: float = 0.0  # alpha of Wu et al. 2016; 0 ranks by probability alone, which favours short texts
    rules: SearchRules = field(default=NO_RULES)
    n_best: int | None = None  # complete texts that are wanted; None for K. The search ends as soon as they are certain

    @property
    def num_texts(self) -> int:
        """Complete texts that are wanted."""
        return min(self.n_best or self.size, self.size)

    def normalised(self, score: float, num_tokens: int) -> float:
        """score / ((5 + U) / 6)^alpha, eq. 14 of Wu et al. 2016 (1609.08144)."""
        return float(score / ((5 + num_tokens) / 6) ** self.length_norm)


@dataclass
class _Finished:
    """The best complete texts of one utterance."""

    limit: int  # tokens that the audio can hold
    texts: list[tuple[float, tuple[int, ...], float]] = field(default_factory=list)  # rank, tokens, log-prob

    def add(self, options: BeamOptions, score: float, token_ids: tuple[int, ...], log_prob: float) -> None:
        if score > -torch.inf:
            self.texts.append((options.normalised(score, len(token_ids)), token_ids, log_prob))
            self.texts.sort(key=lambda text: (-text[0], text[1]))
            del self.texts[options.num_texts :]

    def settled(self, options: BeamOptions, best_running: float) -> bool:
        """Whether no unfinished text can still get in: scores only fall, and the longest text is normalised most."""
        bound = options.normalised(best_running, self.limit)
        return len(self.texts) == options.num_texts and bound <= self.texts[-1][0]


@torch.inference_mode()
def beam_decoder(
    student: Student, encoded: Encoded, max_tokens: torch.Tensor, options: BeamOptions
) -> list[Hypothesis]:
    """The best complete texts; with a beam that holds every prefix, the best of all.

    At each step the K likeliest texts of an utterance are tried with every next token. A text is complete when its end
    is said, or when it has as many tokens as the audio can hold.

    Args:
        encoded: the encoder's output of B utterances.
        max_tokens: int64 [B], see `greedy_decoder`.

    Returns:
        B hypotheses with `options.num_texts` in `n_best`, by normalised score; `log_prob` is the model's
        own, without penalties.
    """
    vocabulary, size = student.vocabulary, options.size
    end_id, device = vocabulary.end_id, encoded.states.device
    limits = max_tokens.tolist()
    finished = [_Finished(limit) for limit in limits]
    for done in finished:
        if done.limit == 0:
            done.add(options, 0.0, (), 0.0)
    rows = torch.arange(len(limits), device=device).repeat_interleave(size)  # [B * K]
    repeated = Encoded(encoded.states[rows], encoded.num_frames[rows])
    tokens = torch.full((len(rows), 1), end_id, dtype=torch.long, device=device)  # [B * K, U]
    scores = torch.full((len(limits), size), -torch.inf, dtype=torch.float64, device=device)
    scores[:, 0] = torch.where(max_tokens.to(device) > 0, 0.0, -torch.inf)  # the empty text, once
    log_probs = torch.zeros_like(scores)
    running = finished
    for length in range(1, max(limits, default=0) + 1):
        kept = (scores > -torch.inf).any(dim=1)  # the others are settled
        if not bool(kept.all()):
            running = [done for done, keep in zip(running, kept.tolist(), strict=True) if keep]
            scores, log_probs, rows = scores[kept], log_probs[kept], kept.repeat_interleave(size)
            tokens, repeated = tokens[rows], Encoded(repeated.states[rows], repeated.num_frames[rows])
        if not running:
            break
        plain, allowed = next_log_probs(student, repeated, tokens)
        judged = (
            options.rules.judge(allowed, tokens, end_id).view(*scores.shape, -1) + scores[:, :, None]
        )  # [B, K, V+1]
        plain = plain.view_as(judged) + log_probs[:, :, None]
        _finish(options, running, tokens, judged[:, :, end_id], plain[:, :, end_id])
        judged[:, :, end_id] = -torch.inf
        scores, places = judged.flatten(1).topk(size, dim=1)  # [B, K]
        log_probs = plain.flatten(1).gather(1, places)
        sources = torch.arange(len(running), device=device)[:, None] * size + places // judged.shape[2]
        tokens = torch.cat([tokens[sources.flatten()], (places % judged.shape[2]).view(-1, 1)], dim=1)
        for b, done in enumerate(running):
            if length == done.limit:
                _finish(options, [done], tokens[b * size : (b + 1) * size], scores[b : b + 1], log_probs[b : b + 1])
            if length >= done.limit or done.settled(options, float(scores[b, 0])):
                scores[b] = -torch.inf
    return [_hypothesis(vocabulary, done) for done in finished]


def _finish(
    options: BeamOptions,
    finished: list[_Finished],
    tokens: torch.Tensor,
    scores: torch.Tensor,
    log_probs: torch.Tensor,
) -> None:
    """Adds texts [B * K, 1 + U] with scores and log-probs [B, K]; those of score -inf are none."""
    texts = tokens[:, 1:].tolist()
    for b, (some_scores, some_log_probs) in enumerate(zip(scores.tolist(), log_probs.tolist(), strict=True)):
        for k, (score, log_prob) in enumerate(zip(some_scores, some_log_probs, strict=True)):
            if score > -torch.inf:
                finished[b].add(options, score, tuple(texts[b * len(some_scores) + k]), log_prob)


def _hypothesis(vocabulary: Vocabulary, finished: _Finished) -> Hypothesis:
    n_best = [
        Hypothesis(vocabulary.decode(token_ids), token_ids, log_prob, path_confidence(log_prob, len(token_ids)))
        for _, token_ids, log_prob in finished.texts
    ]
    return best_of(n_best)
