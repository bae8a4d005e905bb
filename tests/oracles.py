"""Exhaustive search on tiny vocabularies: what every decoder must find if it is wide enough."""

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import torch

from kdspeech.protocols import Encoded
from kdspeech.vocabulary import Vocabulary

TokenIds = tuple[int, ...]


def summed_over_alignments(log_probs: torch.Tensor, blank_id: int) -> dict[TokenIds, float]:
    """Probability of every label sequence, from all (V+1)^T alignments of log_probs [T, V+1]."""
    probabilities: dict[TokenIds, float] = defaultdict(float)
    rows = log_probs.double().exp().tolist()
    for path in itertools.product(range(len(rows[0])), repeat=len(rows)):
        merged = [column for column, _ in itertools.groupby(path)]
        labels = tuple(column for column in merged if column != blank_id)
        probabilities[labels] += math.prod(row[column] for row, column in zip(rows, path, strict=True))
    return probabilities


class RandomStudent:
    """A student whose next-token distribution is drawn anew for each utterance and prefix; specials are impossible.

    The encoder's states [B, T, 1] hold the utterance's number.
    """

    frame_shift_s = 0.04

    def __init__(self, vocabulary: Vocabulary, seed: int = 0, sharpness: float = 1.5) -> None:
        self.vocabulary, self.seed, self.sharpness = vocabulary, seed, sharpness

    def ctc_log_probs(self, encoded: Encoded) -> torch.Tensor:
        rows = [self._rows(f"ctc {b}", encoded.states.shape[1]) for b in self._numbers(encoded)]
        return torch.stack(rows)

    def decoder_log_probs(self, encoded: Encoded, decoder_inputs: torch.Tensor) -> torch.Tensor:
        assert (decoder_inputs[:, 0] == self.vocabulary.end_id).all()  # begins with V
        rows = [
            torch.cat([self.next_token(b, tuple(row[1 : u + 1]))[None] for u in range(len(row))])
            for b, row in zip(self._numbers(encoded), decoder_inputs.tolist(), strict=True)
        ]
        return torch.stack(rows)

    def next_token(self, utterance: int, prefix: TokenIds) -> torch.Tensor:
        """Log-probs [V+1]."""
        return self._rows(f"decoder {utterance} {prefix}", 1)[0]

    def _rows(self, key: str, count: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(hash_of(f"{self.seed} {key}"))
        logits = self.sharpness * torch.randn(count, self.vocabulary.num_columns, generator=generator)
        logits[:, sorted(self.vocabulary.special_ids)] = -torch.inf
        return logits.log_softmax(dim=-1)

    def _numbers(self, encoded: Encoded) -> list[int]:
        return [int(number) for number in encoded.states[:, 0, 0]]


def hash_of(text: str) -> int:
    """The same number in every process."""
    value = 0
    for character in text:
        value = (value * 1_000_003 + ord(character)) % 2**31
    return value


def encoded(num_frames: Sequence[int]) -> Encoded:
    """Utterances 0, 1, 2, ... of these lengths."""
    states = torch.arange(len(num_frames), dtype=torch.float32)[:, None, None].expand(-1, max(num_frames), 1)
    return Encoded(states, torch.tensor(num_frames))


def all_texts(vocabulary: Vocabulary, max_tokens: int) -> Iterator[TokenIds]:
    """Every token sequence of at most so many tokens that stand for text."""
    tokens = [token for token in range(vocabulary.size) if token not in vocabulary.special_ids]
    for length in range(max_tokens + 1):
        yield from itertools.product(tokens, repeat=length)


def attention_score(
    student: RandomStudent,
    utterance: int,
    token_ids: TokenIds,
    max_tokens: int,
    judge: Callable[[list[float], TokenIds], list[float]] = lambda log_probs, said: log_probs,
) -> float:
    """The sum of a text's log-probs, its end among them where there was room for one; -inf if `judge` forbids it."""
    total = 0.0
    for length in range(len(token_ids) + 1):
        if length == max_tokens:
            break
        said = token_ids[:length]
        row = judge(student.next_token(utterance, said).double().tolist(), said)
        total += row[token_ids[length] if length < len(token_ids) else student.vocabulary.end_id]
    return total
