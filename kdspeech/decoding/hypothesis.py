"""What every decoder gives."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Hypothesis:
    """One decoded utterance."""

    text: str
    token_ids: tuple[int, ...]  # pieces of the vocabulary; no blank, no begin or end of sentence
    log_prob: float  # natural log-probability of the path, or of the word
