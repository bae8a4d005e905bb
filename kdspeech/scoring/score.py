"""Scores that keep counts, not rates: they add up exactly over speakers and folds.

WRA (word recognition accuracy) is the share of utterances whose normalised hypothesis equals the normalised reference.
WER (word error rate) is (substitutions + deletions + insertions) / reference words; CER the same of characters, spaces
between words included. Both can exceed 100 %.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from kdspeech.errors import KdspeechError
from kdspeech.scoring.edits import count_edits
from kdspeech.scoring.joining import listed
from kdspeech.scoring.normalise import normalise

__all__ = ["Scores", "normalise", "score_answers", "score_groups", "score_pairs", "score_texts"]

Group = TypeVar("Group", bound=Hashable)


@dataclass(frozen=True)
class Scores:
    """Counts over some utterances; `a + b` are the counts over both."""

    utterances: int = 0
    correct: int = 0  # utterances that are right as a whole
    hits: int = 0  # words
    substitutions: int = 0  # words
    deletions: int = 0  # words
    insertions: int = 0  # words
    reference_characters: int = 0  # spaces between words included
    character_errors: int = 0  # substitutions, deletions and insertions together
    predictions: Mapping[str, int] = field(default_factory=dict)  # normalised hypothesis -> how often

    @property
    def reference_words(self) -> int:
        return self.hits + self.substitutions + self.deletions

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def wra(self) -> float:
        """%, 0 without utterances."""
        return 100.0 * self.correct / max(self.utterances, 1)

    @property
    def wer(self) -> float:
        """%; may exceed 100. Where no reference has a word, the insertions count against one."""
        return 100.0 * self.errors / max(self.reference_words, 1)

    @property
    def cer(self) -> float:
        """%; may exceed 100. Where no reference has a character, the insertions count against one."""
        return 100.0 * self.character_errors / max(self.reference_characters, 1)

    @property
    def empty(self) -> int:
        """Utterances with an empty hypothesis."""
        return self.predictions.get("", 0)

    @property
    def distinct(self) -> int:
        """Different hypotheses."""
        return len(self.predictions)

    @property
    def most_frequent(self) -> tuple[str, int]:
        """The commonest hypothesis and how often it stands; ("", 0) without utterances."""
        return max(self.predictions.items(), key=lambda item: item[1], default=("", 0))

    def __add__(self, other: "Scores") -> "Scores":
        return Scores.total((self, other))

    @classmethod
    def total(cls, parts: Iterable["Scores"]) -> "Scores":
        """The counts over all parts; one pass, where repeated `+` copies the predictions each time."""
        counts = [0] * len(_COUNTS)
        predictions: Counter[str] = Counter()
        for part in parts:
            counts = [count + getattr(part, name) for count, name in zip(counts, _COUNTS, strict=True)]
            predictions.update(part.predictions)
        return cls(predictions=dict(predictions), **dict(zip(_COUNTS, counts, strict=True)))

    def to_dict(self) -> dict[str, object]:
        """Counts and rates, as results files hold them."""
        text, count = self.most_frequent
        return {
            "utterances": self.utterances,
            "correct": self.correct,
            "wra": round(self.wra, 4),
            "reference_words": self.reference_words,
            "hits": self.hits,
            "substitutions": self.substitutions,
            "deletions": self.deletions,
            "insertions": self.insertions,
            "wer": round(self.wer, 4),
            "reference_characters": self.reference_characters,
            "character_errors": self.character_errors,
            "cer": round(self.cer, 4),
            "empty": self.empty,
            "distinct": self.distinct,
            "most_frequent": {
                "text": text,
                "count": count,
                "share": round(100.0 * count / max(self.utterances, 1), 4),  # %
            },
        }


_COUNTS = tuple(name for name in Scores.__dataclass_fields__ if name != "predictions")


def score_pairs(pairs: Mapping[tuple[str, str | None], int]) -> Scores:
    """Scores normalised texts; each different pair is aligned once, however often it stands.

    Args:
        pairs: (reference, hypothesis), both normalised, and how often. The hypothesis None is missing: never right, not
            even beside an empty reference, and no prediction.
    """
    counts = [0] * len(_COUNTS)
    predictions: Counter[str] = Counter()
    for (reference, hypothesis), times in pairs.items():
        found = (1, int(reference == hypothesis), *count_edits(reference, hypothesis or ""))
        counts = [count + times * value for count, value in zip(counts, found, strict=True)]
        if hypothesis is not None:
            predictions[hypothesis] += times
    return Scores(predictions=dict(predictions), **dict(zip(_COUNTS, counts, strict=True)))


def score_texts(
    references: Mapping[str, str], hypotheses: Mapping[str, str], normaliser: Callable[[str], str] = normalise
) -> Scores:
    """Scores texts joined by utterance id.

    Raises:
        KdspeechError: an id stands on one side only; the message lists them.
    """
    _check_same_ids(references, hypotheses)
    return score_pairs(
        Counter((normaliser(reference), normaliser(hypotheses[utt_id])) for utt_id, reference in references.items())
    )


def score_answers(
    references: Mapping[str, str], hypotheses: Mapping[str, str], normaliser: Callable[[str], str] = normalise
) -> Scores:
    """Scores what was answered: a missing hypothesis is wrong, one without reference is passed over."""
    return score_pairs(
        Counter(
            (normaliser(reference), normaliser(hypotheses[utt_id]) if utt_id in hypotheses else None)
            for utt_id, reference in references.items()
        )
    )


def score_groups(
    references: Mapping[str, str], hypotheses: Mapping[str, str], groups: Mapping[str, Group]
) -> dict[Group, Scores]:
    """Scores each group of utterances by itself, in order of first appearance; the groups' sum is the total.

    Args:
        groups: utterance id -> its group, for example the speaker.

    Raises:
        KdspeechError: an id stands on one side only.
    """
    _check_same_ids(references, hypotheses)
    members: dict[Group, list[str]] = {}
    for utt_id in references:
        members.setdefault(groups[utt_id], []).append(utt_id)
    return {
        group: score_texts({i: references[i] for i in utt_ids}, {i: hypotheses[i] for i in utt_ids})
        for group, utt_ids in members.items()
    }


def _check_same_ids(references: Mapping[str, str], hypotheses: Mapping[str, str]) -> None:
    missing = [utt_id for utt_id in references if utt_id not in hypotheses]
    extra = [utt_id for utt_id in hypotheses if utt_id not in references]
    if missing or extra:
        raise KdspeechError(
            f"references and hypotheses are not of the same {len(references)} utterances: "
            f"{listed(missing)} without hypothesis, {listed(extra)} without reference. Decode the whole set again."
        )
